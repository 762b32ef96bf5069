package BackgroundProtocol;

# The server's side of the protocols that nginx speaks to upstreams: how much of
# what has come is a request, and the bytes of a response.

use strict;
use warnings;

my %protocol = (
    http      => [\&http_request, \&http_response],
    fastcgi   => [\&fastcgi_request, \&fastcgi_response],
    uwsgi     => [\&uwsgi_request, \&http_response],
    scgi      => [\&scgi_request, \&cgi_response],
    memcached => [\&memcached_request, \&memcached_response],
);

# request(PROTOCOL, BYTES): the request as a line, or nothing if it is not
# complete

sub request { $protocol{$_[0]}[0]->($_[1]) }

# response(PROTOCOL, STATUS, HEADER, BODY, REQUEST): its bytes; each line of the
# header ends with CRLF

sub response {
    my ($protocol, @answer) = @_;

    return $protocol{$protocol}[1]->(@answer);
}

sub http_request {
    my ($head) = $_[0] =~ /^(.*?\r\n\r\n)/s or return;
    my ($length) = $head =~ /\r\ncontent-length: (\d+)/i;

    return if length $_[0] < length($head) + ($length || 0);

    my ($line) = $head =~ /^(.*)\r/;
    my ($host) = $head =~ /\r\nhost: ([^\r]*)/i;

    return "$line host=" . ($host // '')
           . ($length ? ' body=' . substr $_[0], length $head, $length : '');
}

sub http_response {
    my ($status, $header, $body) = @_;

    return "HTTP/1.1 $status X\r\n${header}Content-Length: "
           . length($body) . "\r\n\r\n$body";
}

# records of version, type, request, length, padding, and a byte; that of type
# 5, FCGI_STDIN, without contents is the last one

sub fastcgi_request {
    my ($bytes) = @_;

    my $params = '';

    while (length $bytes >= 8) {
        my (undef, $type, undef, $length, $padding) = unpack 'CCnnC', $bytes;

        return if length $bytes < 8 + $length + $padding;
        return "fastcgi $params" if $type == 5 && $length == 0;

        $params .= substr $bytes, 8, $length if $type == 4;
        substr $bytes, 0, 8 + $length + $padding, '';
    }

    return;
}

sub cgi_response {
    my ($status, $header, $body) = @_;

    return "Status: $status X\r\n${header}Content-Length: " . length($body)
           . "\r\n\r\n$body";
}

sub fastcgi_response {
    my $text = cgi_response(@_);

    return pack('CCnnCx', 1, 6, 1, length $text, 0) . $text
           . pack('CCnnCx', 1, 3, 1, 8, 0) . "\0" x 8;
}

sub uwsgi_request {
    my ($bytes) = @_;

    return if length $bytes < 4
              || length $bytes < 4 + unpack 'xv', $bytes;

    return 'uwsgi ' . substr $bytes, 4;
}

sub scgi_request {
    my ($bytes) = @_;

    my ($length) = $bytes =~ /^(\d+):/ or return;

    return if length $bytes < length($length) + 1 + $length + 1;

    return 'scgi ' . substr $bytes, length($length) + 1, $length;
}

sub memcached_request { $_[0] =~ /^(get .*)\r\n/ ? $1 : () }

sub memcached_response {
    my ($status, $header, $body, $request) = @_;

    return "END\r\n" if $status == 404;
    return "SERVER_ERROR $status\r\n" if $status != 200;
    return "VALUE " . substr($request, 4) . " 0 " . length($body) . "\r\n$body\r\nEND\r\n";
}

1;
