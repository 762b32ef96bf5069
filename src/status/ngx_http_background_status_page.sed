# Makes a string in C of the page.

s/[\\"?]/\\&/g
s/.*/    "&\\n"/
1i\
static const char  ngx_http_background_page[] =
$a\
;
