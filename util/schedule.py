#!/usr/bin/python3
"""Compares schedules with the time zones of Python, and with systemd's.

    schedule.py PROGRAM [ZONES [EXPRESSIONS]]

PROGRAM is t/schedule.c.  For so many zones, with as many random expressions
each, the times in the 48 hours around each change of 20 years, and around as
many random times, are worked out a second time: minute by minute, by the rule
of doc/schedule.md.  Where there is systemd-analyze, what it says of days on
which no clock changes is compared, too.
"""

import datetime
import random
import shutil
import subprocess
import sys
import zoneinfo

UTC = datetime.timezone.utc
NOW = int(datetime.datetime(2026, 6, 1, tzinfo=UTC).timestamp())
DAY = 86400

FIELDS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]
NAMES = {3: 'jan feb mar apr may jun jul aug sep oct nov dec'.split(),
         4: 'sun mon tue wed thu fri sat'.split()}


def field(n):
    """A random field, and the numbers that it means."""

    low, high = FIELDS[n]

    if random.random() < (0.4, 0.3, 0.5, 0.6, 0.6)[n]:
        return '*', set(range(low, high + 1))

    if random.random() < 0.2:
        step = random.randint(1, max(1, high // 2))
        return f'*/{step}', set(range(low, high + 1, step))

    texts, numbers = [], set()

    for _ in range(random.randint(1, 3)):
        a = random.randint(low, high)
        b = random.randint(a, high)

        if random.random() < 0.5:
            b = a
        names = NAMES.get(n)
        name = ((lambda i: names[i - low]) if names and random.random() < 0.3
                else str)

        if a == b:
            texts.append(name(a))
            numbers.add(a)
        elif random.random() < 0.3:
            step = random.randint(1, high)
            texts.append(f'{name(a)}-{name(b)}/{step}')
            numbers |= set(range(a, b + 1, step))
        else:
            texts.append(f'{name(a)}-{name(b)}')
            numbers |= set(range(a, b + 1))

    return ','.join(texts), numbers


class Schedule:
    def __init__(self):
        fields = [field(n) for n in range(5)]
        self.text = ' '.join(text for text, _ in fields)
        (self.minutes, self.hours, self.days, self.months,
         self.weekdays) = (numbers for _, numbers in fields)
        self.every_hour = fields[1][0] == '*'
        self.any = fields[2][0][0] == '*' or fields[4][0][0] == '*'

    def matches(self, local):
        """Whether a local time, as a naive datetime, is one of them."""

        if (local.minute not in self.minutes or local.hour not in self.hours
                or local.month not in self.months):
            return False

        day = local.day in self.days
        weekday = (local.weekday() + 1) % 7 in self.weekdays

        return (day and weekday) if self.any else (day or weekday)


def offset(zone, t):
    at = datetime.datetime.fromtimestamp(t, zone)
    return int(at.utcoffset().total_seconds())


def expected(schedule, zone, start, end):
    """All times after start until end, minute by minute."""

    found = []
    first = start // 60 * 60 + 60
    before = offset(zone, first - 60)

    # local times that have been there, of the day before, too
    seen_until = max(t + offset(zone, t)
                     for t in range(first - 2 * DAY, first, 900)) + 840

    for t in range(first, end + 1, 60):
        now = offset(zone, t)
        local = t + now
        due = schedule.matches(datetime.datetime.fromtimestamp(local, UTC)
                               .replace(tzinfo=None))

        if schedule.every_hour:
            if due:
                found.append(t)
        else:
            if local <= seen_until:
                due = False

            if now > before:
                # what is left out is due now, once
                for skipped in range(max(t + before, seen_until + 60), local,
                                     60):
                    if schedule.matches(
                            datetime.datetime.fromtimestamp(skipped, UTC)
                            .replace(tzinfo=None)):
                        due = True

            if due:
                found.append(t)

        seen_until = max(seen_until, local)
        before = now

    return found


def changes(zone):
    """The times of the changes of 20 years."""

    found = []
    t = NOW

    while t < NOW + 20 * 365 * DAY:
        a, b = t, t + 7 * DAY

        if offset(zone, a) != offset(zone, b):
            while b - a > 1:
                middle = (a + b) // 2

                if offset(zone, middle) == offset(zone, t):
                    a = middle
                else:
                    b = middle
            found.append(b)

        t += 7 * DAY

    return found


def ask(program, lines):
    out = subprocess.run([program, '--next'], input='\n'.join(lines) + '\n',
                         stdout=subprocess.PIPE, text=True, check=True).stdout
    return out.splitlines()


def compare(program, names, expressions):
    compared, wrong = 0, 0

    for name in names:
        zone = zoneinfo.ZoneInfo(name)
        at = changes(zone)
        cases, lines = [], []

        for _ in range(expressions):
            schedule = Schedule()
            around = random.choice(at) if at and random.random() < 0.7 \
                else random.randrange(NOW, NOW + 20 * 365 * DAY)
            start = around - DAY + random.randrange(3600)
            cases.append((schedule, start, start + 2 * DAY))
            lines.append(f'{name}|{NOW}|3000|{start}|{schedule.text}')

        for (schedule, start, end), answer in zip(cases, ask(program, lines)):
            if not answer.replace(' ', '').isdigit():
                continue        # no such day

            got = [t for t in map(int, answer.split()) if start < t <= end]
            want = expected(schedule, zone, start, end)
            compared += 1

            if got != want:
                wrong += 1
                print(f'{name} "{schedule.text}" after {start}: '
                      f'{sorted(set(got) ^ set(want))[:3]}')

    return compared, wrong


def systemd(program, n):
    """Those that systemd can express, at times when no clock changes."""

    compared, wrong = 0, 0

    for _ in range(n):
        minute, hour = random.randrange(60), random.randrange(24)
        day, month = random.randint(1, 28), random.randint(1, 12)
        start = random.randrange(NOW, NOW + 20 * 365 * DAY)
        text, calendar = random.choice([
            (f'{minute} {hour} * * *', f'*-*-* {hour}:{minute}:00'),
            (f'{minute} {hour} {day} * *', f'*-*-{day} {hour}:{minute}:00'),
            (f'{minute} {hour} {day} {month} *',
             f'*-{month}-{day} {hour}:{minute}:00'),
            (f'{minute} {hour} * * mon-fri',
             f'Mon..Fri *-*-* {hour}:{minute}:00'),
            (f'*/5 {hour} * * sun', f'Sun *-*-* {hour}:0/5:00'),
        ])
        out = subprocess.run(
            ['systemd-analyze', 'calendar', '--iterations=3',
             f'--base-time=@{start}', f'{calendar} UTC'],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={'TZ': 'UTC', 'LC_ALL': 'C', 'PATH': '/usr/bin:/bin'}).stdout
        want = [int(datetime.datetime.strptime(line.split(': ')[1].strip(),
                                               '%a %Y-%m-%d %H:%M:%S UTC')
                    .replace(tzinfo=UTC).timestamp())
                for line in out.splitlines()
                if 'Next elapse' in line or 'Iter' in line
                or 'Iteration' in line]
        got = [int(t) for t in
               ask(program, [f'UTC|{NOW}|3|{start}|{text}'])[0].split()]
        compared += 1

        if got != want:
            wrong += 1
            print(f'systemd "{calendar}" after {start}: {got} {want}')

    return compared, wrong


def main():
    program = sys.argv[1]
    zones = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    expressions = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    names = sorted(zoneinfo.available_timezones() - {'localtime'})

    seed = random.randrange(1 << 32)
    print(f'seed {seed}')
    random.seed(seed)

    if zones:
        names = random.sample(names, zones)

    compared, wrong = compare(program, names, expressions)
    print(f'zoneinfo: {len(names)} zones, {compared} compared, {wrong} differ')

    if shutil.which('systemd-analyze'):
        n, more = systemd(program, 20 if zones else 500)
        print(f'systemd: {n} compared, {more} differ')
        wrong += more

    sys.exit(wrong != 0)


main()
