#!/usr/bin/python3
"""Compares schedules with the time zones of Python, and with systemd's.

    schedule.py PROGRAM [ZONES [EXPRESSIONS]]

PROGRAM is t/schedule.c.  For so many zones, by default each one that differs
from all others, with as many random expressions each, by default 200, the times
in the 48 hours around each change of 20 years, and around ten random times, are
worked out a second time: minute by minute, by the rule of doc/schedule.md.
Where there is systemd-analyze, what it says of days on which no clock changes
is compared, too.
"""

import datetime
import os
import random
import shutil
import subprocess
import sys
import zoneinfo

UTC = datetime.timezone.utc
NOW = int(datetime.datetime(2026, 6, 1, tzinfo=UTC).timestamp())
DAY = 86400
EPOCH = datetime.datetime(1970, 1, 1)

# of each comparison, and how many are at random times, for each zone
MINUTES = 2880
RANDOM = 10

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

    def matches(self, times):
        """The bits of the local times that are some of these."""

        def any_of(table, numbers):
            bits = 0

            for number in numbers:
                bits |= table.get(number, 0)

            return bits

        day = any_of(times.days, self.days)
        weekday = any_of(times.weekdays, self.weekdays)

        return (any_of(times.minutes, self.minutes)
                & any_of(times.hours, self.hours)
                & any_of(times.months, self.months)
                & ((day & weekday) if self.any else (day | weekday)))


def offset(zone, t):
    at = datetime.datetime.fromtimestamp(t, zone)
    return int(at.utcoffset().total_seconds())


def offsets(zone, t, last):
    """Each minute until the last one, with its offset."""

    while t <= last:
        now = offset(zone, t)
        end = min(t + 3600, last + 60)

        if offset(zone, end - 60) == now:
            yield from ((m, now) for m in range(t, end, 60))
        else:
            yield from ((m, offset(zone, m)) for m in range(t, end, 60))

        t = end


class Window:
    """The minutes after a time, whose bits are as those of "--bits".

    Bits above them are minutes that local time leaves out.
    """

    def __init__(self, zone, start):
        self.start = start
        self.all = (1 << MINUTES) - 1
        self.first = 0              # local times that were not there before
        self.gaps = []              # the bit of a change, and what it leaves out
        self.minutes, self.hours, self.days = {}, {}, {}
        self.months, self.weekdays = {}, {}

        # local times that have been there, of the day before, too

        before = offset(zone, start)
        seen = max(t + now for t, now in offsets(zone, start - DAY, start))
        bit = 1 << MINUTES
        left_out = bit

        for t, now in offsets(zone, start + 60, start + MINUTES * 60):
            bit >>= 1
            local = t + now
            self.add(bit, local)

            if local > seen:
                self.first |= bit

            if now > before:
                gap = 0

                for skipped in range(max(t + before, seen + 60), local, 60):
                    self.add(left_out, skipped)
                    gap |= left_out
                    left_out <<= 1

                self.gaps.append((bit, gap))

            seen = max(seen, local)
            before = now

    def add(self, bit, local):
        at = EPOCH + datetime.timedelta(seconds=local)

        for table, number in ((self.minutes, at.minute), (self.hours, at.hour),
                              (self.days, at.day), (self.months, at.month),
                              (self.weekdays, (at.weekday() + 1) % 7)):
            table[number] = table.get(number, 0) | bit

    def expected(self, schedule):
        """What is due, by the rule of doc/schedule.md."""

        bits = schedule.matches(self)

        if schedule.every_hour:
            return bits & self.all

        due = bits & self.first

        for change, gap in self.gaps:
            if bits & gap:
                due |= change

        return due


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


def ask(program, mode, lines):
    out = subprocess.run([program, mode], input='\n'.join(lines) + '\n',
                         stdout=subprocess.PIPE, text=True, check=True).stdout
    return out.splitlines()


def distinct():
    """The names of all zones whose tables differ."""

    names = {}

    for name in sorted(zoneinfo.available_timezones() - {'localtime'}):
        for path in zoneinfo.TZPATH:
            if os.path.exists(f'{path}/{name}'):
                with open(f'{path}/{name}', 'rb') as file:
                    names.setdefault(file.read(), name)
                break

    return list(names.values())


def compare(program, names, expressions):
    windows, compared, wrong = 0, 0, 0

    for name in names:
        zone = zoneinfo.ZoneInfo(name)
        at = changes(zone)
        at += [random.randrange(NOW, NOW + 20 * 365 * DAY) // 60 * 60
               for _ in range(RANDOM)]
        schedules = [Schedule() for _ in range(expressions)]

        for around in at:
            window = Window(zone, around - MINUTES // 2 * 60)
            windows += 1

            answers = ask(program, '--bits',
                          [f'{name}|{NOW}|{MINUTES}|{window.start}|{s.text}'
                           for s in schedules])

            for schedule, answer in zip(schedules, answers):
                if answer == 'no month of it has such a day':
                    continue

                compared += 1

                if int(answer, 16) != window.expected(schedule):
                    wrong += 1
                    print(f'{name} "{schedule.text}" after {window.start}')

    return windows, compared, wrong


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
               ask(program, '--next',
                   [f'UTC|{NOW}|3|{start}|{text}'])[0].split()]
        compared += 1

        if got != want:
            wrong += 1
            print(f'systemd "{calendar}" after {start}: {got} {want}')

    return compared, wrong


def main():
    program = sys.argv[1]
    zones = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    expressions = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    names = distinct()

    seed = random.randrange(1 << 32)
    print(f'seed {seed}')
    random.seed(seed)

    if zones:
        names = random.sample(names, zones)

    windows, compared, wrong = compare(program, names, expressions)
    print(f'zoneinfo: {len(names)} zones, {windows} times of 48 hours, '
          f'{compared} compared, {wrong} differ')

    if shutil.which('systemd-analyze'):
        n, more = systemd(program, 20 if zones else 500)
        print(f'systemd: {n} compared, {more} differ')
        wrong += more

    sys.exit(wrong != 0)


main()
