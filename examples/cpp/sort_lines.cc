
/*
 * Copyright (C) The ngx_http_background_module authors
 */


/*
 * Sorts the lines of what a request brings, in C++; with "unique" lines that
 * are equal are one.
 *
 *     c++ -O2 -shared -fPIC -I../../src -o sort_lines.so sort_lines.cc
 *
 *     call /usr/local/lib/sort_lines.so sort_lines [unique];
 */


#include <ngx_http_background_call.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <vector>


namespace {

using call_t = ngx_http_background_call_t;


/* thrown inside of sort_lines() only: no exception may leave it */

struct cancelled {};


/* asks every so many times, which is less than a millisecond of work */

class watch {
public:
    explicit watch(call_t *call) : call_(call) {}

    void operator()()
    {
        if (++n_ % 4096 == 0 && call_->cancelled(call_)) {
            throw cancelled();
        }
    }

private:
    call_t    *call_;
    unsigned   n_ = 0;
};


std::vector<std::string_view>
split(std::string_view text, watch &check)
{
    std::vector<std::string_view>  lines;

    while (!text.empty()) {
        auto end = std::min(text.find('\n'), text.size());

        lines.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        check();
    }

    return lines;
}


bool
write_all(call_t *call, const std::vector<std::string_view> &lines,
    watch &check)
{
    std::string  part;

    for (auto line : lines) {
        part.append(line).push_back('\n');
        check();

        if (part.size() >= 65536) {
            if (call->write(call, part.data(), part.size())) {
                return false;
            }

            part.clear();
        }
    }

    return part.empty() || call->write(call, part.data(), part.size()) == 0;
}


int
sort_and_write(call_t *call)
{
    watch  check(call);

    auto lines = split(std::string_view(static_cast<const char *>(call->input),
                                        call->input_len), check);

    std::sort(lines.begin(), lines.end(),
              [&check](std::string_view a, std::string_view b) {
                  check();
                  return a < b;
              });

    if (call->argc > 0) {
        if (std::strcmp(call->argv[0], "unique") != 0) {
            call->fail(call, "unknown argument \"%s\"", call->argv[0]);
            return 1;
        }

        lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
    }

    call->add_bytes(call, call->input_len);
    call->message(call, "%zu lines", lines.size());
    call->type(call, "text/plain");
    call->header(call, "X-Lines", std::to_string(lines.size()).c_str());

    /* what does not fit makes the cycle fail */

    return write_all(call, lines, check) ? 0 : 1;
}

} /* namespace */


NGX_HTTP_BACKGROUND_CALL_PARKS(sort_lines);

NGX_HTTP_BACKGROUND_CALL(sort_lines)
{
    try {
        return sort_and_write(call);

    } catch (const cancelled &) {
        return 0;

    } catch (const std::exception &e) {
        call->fail(call, "%s", e.what());
    }

    return 1;
}
