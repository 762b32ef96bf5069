
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/* A function in C++ with input and output, which may be parked. */


#include <ngx_http_background_call.h>

#include <cctype>
#include <exception>
#include <string>


NGX_HTTP_BACKGROUND_CALL_PARKS(upper);

NGX_HTTP_BACKGROUND_CALL(upper)
{
    try {
        std::string  text(static_cast<const char *>(call->input),
                          call->input_len);

        for (auto &c : text) {
            if (call->cancelled(call)) {
                return 0;
            }

            c = std::toupper(static_cast<unsigned char>(c));
        }

        call->status(call, 202);
        call->type(call, "text/x-upper");
        call->header(call, "X-Length", std::to_string(text.size()).c_str());

        return call->write(call, text.data(), text.size());

    } catch (const std::exception &e) {
        call->fail(call, "%s", e.what());
    }

    return 0;
}
