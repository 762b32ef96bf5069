# Requests to locations that Lua and njs answer, where these are installed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use BackgroundStatus;
use BackgroundUpstream;
use Test::More;

my $dir = dir();
my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
my ($modules) = `'$nginx' -V 2>&1` =~ /--modules-path=(\S+)/;

$modules = '' unless defined $modules;

put('script.js', <<'EOF_JS');
function answer(r) {
    r.return(200, r.variables.background_task + r.requestText);
}
function sub(r) {
    r.subrequest('/peer/ok/3', function (reply) {
        r.return(reply.responseText == 'xxx' ? 200 : 500);
    });
}
function later(r) { setTimeout(function () { r.return(204); }, 20); }
function hold(r) { setTimeout(function () { r.return(204); }, 3600000); }
export default { answer, sub, later, hold };
EOF_JS

my %script = (
    lua => ['ngx_http_lua_module.so',
            'lua_package_path "/usr/share/lua/5.1/?.lua;;";', <<"EOF_LUA"],
        location = /lua/answer {
            content_by_lua_block {
                ngx.req.read_body()
                ngx.header.content_length = 10
                ngx.print(ngx.var.background_task, ngx.req.get_body_data())
            }
        }
        location = /lua/sub {
            content_by_lua_block {
                local reply = ngx.location.capture("/peer/ok/3")
                ngx.exit(reply.body == "xxx" and 200 or 500)
            }
        }
        location = /lua/later {
            access_by_lua_block { ngx.sleep(0.02) }
            content_by_lua_block {
                for i = 1, 100 do
                    ngx.say(("y"):rep(1000))
                    ngx.flush(true)
                end
            }
        }
        location = /lua/hold { content_by_lua_block { ngx.sleep(3600) } }
EOF_LUA
    js => ['ngx_http_js_module.so', 'js_import script.js;', <<"EOF_JS_CONF"],
        location = /js/answer { js_content script.answer; }
        location = /js/sub { js_content script.sub; }
        location = /js/later { js_content script.later; }
        location = /js/hold { js_content script.hold; }
EOF_JS_CONF
);

my @kinds = grep { -f "$modules/$script{$_}[0]" } sort keys %script;

plan skip_all => "nginx has neither Lua nor njs in \"$modules\"" unless @kinds;

upstream('peer');

for my $kind (@kinds) {
    my ($module, $http, $locations) = @{$script{$kind}};

    start($http, <<"EOF_SERVER", "load_module $modules/$module;");
        background_task answer { interval 1h; request /$kind/answer body=text; }
        background_task sub { interval 1h; request /$kind/sub; }
        background_task later { interval 1h; request /$kind/later count=20; }
        background_task held {
            timeout 200ms;
            retry 20ms;
            request /$kind/hold count=20;
        }
        log_subrequest on;
        access_log $kind.log;
        location /peer/ { proxy_pass http://unix:$dir/peer:/; }
        $locations
EOF_SERVER

    my %task;

    poll('all are over', sub {
        %task = by_name(status());

        return $task{held}{cycles}{failed} > 3
               && !grep { !$_->{last} } values %task;
    });

    is($task{$_}{last}{error}, undef, "$kind: $_")
        for qw/ answer sub later /;
    is($task{held}{last}{error}, "request \"/$kind/hold\": timed out",
       "$kind: torn down");

    stop();

    ok((grep { / 200 10 "/ } split /\n/, read_text("$dir/$kind.log")),
       "$kind: variable and body");
}

done_testing();
