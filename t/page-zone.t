# The page in a browser: when a schedule is due next, in its time zone.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundPage;
use BackgroundStatus;
use JSON::PP ();
use Test::More;

browser();

start_page(<<'EOF', fake('later', {}));
    background_task local  { schedule "0 3 * * *"; simulate_io 1; }
    background_task near   { schedule "0 3 * * *"; simulate_io 1; }
    background_task far    { schedule "0 3 * * *"; simulate_io 1; }
    background_task odd    { schedule "0 3 * * *"; simulate_io 1; }
    background_task named  {
        schedule "0 3 * * *" timezone=Asia/Tokyo;
        simulate_io 1;
    }
EOF

visit('/page');
like(row('named')->{nextNote}, qr/03:00:00 Asia\/Tokyo$/, 'nginx itself');
like(row('local')->{nextNote}, qr/\d\d:00:00$/, 'without a time zone');

# what the server may say

my $status = status();
my %task = by_name($status);

$status->{now} = '2001-02-03T04:05:06.000Z';
$_->{next} = '2001-02-03T05:00:00.000Z' for values %task;
$task{far}{next} = '2001-02-05T23:30:00.000Z';
$task{$_->[0]}{timezone} = $_->[1]
    for ['near', 'Pacific/Kiritimati'], ['far', 'Asia/Kathmandu'],
        ['odd', 'No/Such_Zone'];

replace('html/later.json', JSON::PP->new->encode($status));

visit('/later');

my $here = js("new Date('2001-02-03T05:00:00Z').toTimeString().slice(0, 8)");

is(row('near')->{nextNote}, '19:00:00 Pacific/Kiritimati', 'in a time zone');
like(row('far')->{nextNote}, qr/6.* 05:15:00 Asia\/Kathmandu$/, 'with the day');
is(row('odd')->{nextNote}, $here, 'one that the browser does not know');
is(row('local')->{nextNote}, $here, 'in that of the browser');
is(overlaps(), '', 'nothing overlaps');

clean('all');
stop();
done_testing();
