# converts the page of "background_status html" to a C string

ngx_http_background_page=$NGX_OBJS/ngx_http_background_status_page.h

cat << END                                                    >> $NGX_MAKEFILE

$NGX_OBJS/addon/status/ngx_http_background_status_html.$ngx_objext:	\\
	$ngx_http_background_page

$ngx_http_background_page:	\\
	$ngx_addon_dir/src/status/ngx_http_background_status.html \\
	$ngx_addon_dir/src/status/ngx_http_background_status_page.sed
	LC_ALL=C sed -f \\
		$ngx_addon_dir/src/status/ngx_http_background_status_page.sed \\
		$ngx_addon_dir/src/status/ngx_http_background_status.html \\
		> $ngx_http_background_page.tmp
	mv $ngx_http_background_page.tmp $ngx_http_background_page

END
