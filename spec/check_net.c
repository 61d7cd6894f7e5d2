/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/check.h"

#include "spec/base/num.h"
#include "spec/base/xalloc.h"
#include "spec/diag.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define TOKEN LOWER UPPER DIGITS "!#$%&'*+-.^_`|~"

/* Code points that mitmproxy's IDNA 2003 maps to something else or doesn't know, so that a host
 * with them can't be asked for: the sharp s, the final sigma, the joiners, emoji. */
static bool is_foreign_to_idna2003(uint64_t c)
{
    return c == 0xDF || c == 0x3C2 || c == 0x200C || c == 0x200D || (c >= 0x1F000 && c <= 0x1FFFF);
}

/* RFC 3492: whether what follows "xn--" decodes to a name that isn't ASCII. What doesn't, proxies
 * and resolvers refuse each in its own way. */
static bool is_punycode(const char *p, size_t n)
{
    enum { BASE = 36, TMIN = 1, TMAX = 26, SKEW = 38, DAMP = 700 };
    const char *dash = memrchr(p, '-', n);
    uint32_t len = dash ? (uint32_t)(dash - p) : 0;
    uint64_t code = 0x80;
    uint64_t i = 0;
    uint64_t bias = 72;
    const char *end = p + n;
    p = dash ? dash + 1 : p;
    if (p == end)
        return false;
    while (p < end) {
        uint64_t old = i;
        uint64_t weight = 1;
        for (uint64_t k = BASE;; k += BASE) {
            if (p == end)
                return false;
            char c = *p++;
            uint64_t digit = (uint64_t)(c >= 'a' ? c - 'a' : c - '0' + 26);
            uint64_t t = k <= bias ? TMIN : k >= bias + TMAX ? TMAX : k - bias;
            i += digit * weight;
            if (i > UINT32_MAX)
                return false;
            if (digit < t)
                break;
            weight *= BASE - t;
        }
        len++;
        uint64_t delta = old ? (i - old) / 2 : (i - old) / DAMP;
        delta += delta / len;
        for (bias = 0; delta > ((BASE - TMIN) * TMAX) / 2; bias += BASE)
            delta /= BASE - TMIN;
        bias += (BASE - TMIN + 1) * delta / (delta + SKEW);
        code += i / len;
        i %= len;
        if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF) || is_foreign_to_idna2003(code))
            return false;
        i++;
    }
    return true;
}

static const char *bad_label(const char *label, size_t n)
{
    if (n == 0)
        return "it has an empty part";
    if (n > CHECK_HOST_LABEL_MAX)
        return "a part is longer than 63 characters";
    if (label[0] == '-' || label[n - 1] == '-')
        return "a part starts or ends with '-'";
    bool encoded = n >= 4 && memcmp(label, "xn--", 4) == 0;
    if (encoded && !is_punycode(label + 4, n - 4))
        return "an xn-- part isn't an encoded name that both proxies can handle";
    return NULL;
}

/* A last part that is a number makes parsers take the whole for an IPv4 address. */
static bool ends_in_number(const char *host)
{
    const char *dot = strrchr(host, '.');
    const char *last = dot ? dot + 1 : host;
    if (strncmp(last, "0x", 2) == 0)
        return last[2 + strspn(last + 2, DIGITS "abcdef")] == '\0';
    return last[strspn(last, DIGITS)] == '\0';
}

static bool is_host_or_below(const char *host, const char *zone)
{
    size_t h = strlen(host);
    size_t z = strlen(zone);
    return h >= z && strcmp(host + h - z, zone) == 0 && (h == z || host[h - z - 1] == '.');
}

/* What is wrong with the lower-cased name, or NULL. */
static const char *bad_host(const char *host)
{
    if (!*host)
        return "it is empty";
    if (strstr(host, "://"))
        return "without 'scheme://'";
    if (strchr(host, '*'))
        return "wildcards aren't supported, name each host";
    if (strchr(host, '/'))
        return "without a path; path_allowlist says which paths";
    if (strchr(host, ':') || strchr(host, '['))
        return "without a port, and no IP address";
    for (const char *c = host; *c; c++) {
        if ((unsigned char)*c >= 0x80)
            return "write an international name in its xn-- form";
    }
    if (is_host_or_below(host, "_egress.local"))
        return "this name is reserved";
    if (host[strspn(host, LOWER DIGITS "-.")] != '\0')
        return "only letters, digits, '-' and '.' are allowed";
    if (host[strlen(host) - 1] == '.')
        return "without '.' at the end";
    if (strlen(host) > CHECK_HOST_MAX)
        return "longer than 253 characters";
    for (const char *p = host;;) {
        size_t n = strcspn(p, ".");
        const char *wrong = bad_label(p, n);
        if (wrong)
            return wrong;
        if (!p[n])
            break;
        p += n + 1;
    }
    return NULL;
}

static const char *reserved_host(const char *host)
{
    static const char *const zones[] = {"localhost", "docker.internal", "bottler-canary.invalid"};
    static const char *const roles[] = {"agent", "egress", "pipelock", "git-gate", "supervise"};
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(host, roles[i]) == 0)
            return "this is the name of a part of the bottle itself";
    }
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        if (is_host_or_below(host, zones[i]))
            return "this name is reserved";
    }
    if (ends_in_number(host))
        return "an IP address isn't allowed, only a name";
    if (!strchr(host, '.'))
        return "a name needs a domain";
    return NULL;
}

bool check_host(const char *text, struct str *why, char **ret)
{
    AUTO_FREE char *host = xstrdup(text);
    str_lower(host);
    const char *wrong = bad_host(host);
    if (!wrong)
        wrong = reserved_host(host);
    if (wrong)
        return check_refuse_detail(why, text, "a host such as 'api.example.com'", wrong);
    *ret = TAKE_PTR(host);
    return true;
}

bool check_host_pattern(const char *text, struct str *why, char **ret)
{
    static const char what[] = "a host such as 'api.example.com', or '*.example.com'";
    if (strncmp(text, "*.", 2) != 0) {
        return strchr(text, '*')
                   ? check_refuse_detail(why, text, what, "'*.' stands at the start, and once")
                   : check_host(text, why, ret);
    }
    AUTO_FREE char *domain = xstrdup(text + 2);
    str_lower(domain);
    const char *wrong =
        strchr(domain, '*') ? "'*.' stands at the start, and once" : bad_host(domain);
    if (!wrong && ends_in_number(domain))
        wrong = "an IP address isn't allowed, only a name";
    if (wrong)
        return check_refuse_detail(why, text, what, wrong);
    *ret = xasprintf("*.%s", domain);
    return true;
}

/* An escape that another parser could take for a separator, a dot, a control or an escape. */
static const char *bad_escape(const char *p)
{
    int64_t byte = 0;
    if (!p[1] || !p[2] || !num_parse_base((struct sv){p + 1, 2}, 16, 255, &byte))
        return "'%' must be followed by two hex digits";
    if (byte < 0x20 || byte == 0x7F)
        return "an encoded control character";
    if (byte && byte < 0x80 && strchr("/\\.%?#;", (int)byte))
        return "an encoded separator, dot or '%'";
    if (byte >= 0x80)
        return "an encoded byte that isn't ASCII: what servers make of it differs";
    return NULL;
}

static const char *bad_url_path(const char *p)
{
    if (p[0] != '/')
        return "it must start with '/'";
    if (strlen(p) > CHECK_PATH_MAX)
        return "longer than 1024 bytes";
    if (strpbrk(p, "?#"))
        return "without a query or fragment";
    for (const char *c = p; *c; c++) {
        if (!strchr(LOWER UPPER DIGITS "-._~!$&'()*+,=:@%/", *c))
            return "a character that must be encoded, or isn't allowed";
        const char *wrong = *c == '%' ? bad_escape(c) : NULL;
        if (wrong)
            return wrong;
    }
    for (p++; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 0)
            return "it has an empty part ('//')";
        if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return "it has a '.' or '..' part";
        p += n;
        if (*p)
            p++;
    }
    return NULL;
}

bool check_url_path(const char *text, struct str *why, char **ret)
{
    const char *wrong = bad_url_path(text);
    if (wrong)
        return check_refuse_detail(why, text, "a path such as '/repos/acme/'", wrong);
    *ret = xstrdup(text);
    return true;
}

static bool is_token(const char *text, size_t max)
{
    size_t n = strlen(text);
    return n > 0 && n <= max && strspn(text, TOKEN) == n;
}

bool check_method(const char *text, struct str *why, char **ret)
{
    static const char what[] = "a method such as GET";
    if (!is_token(text, 32))
        return check_refuse(why, text, what);
    if (strcasecmp(text, "CONNECT") == 0 || strcasecmp(text, "TRACE") == 0 ||
        strcasecmp(text, "TRACK") == 0)
        return check_refuse_detail(why, text, what, "CONNECT, TRACE and TRACK are never allowed");
    char *method = xstrdup(text);
    for (char *c = method; *c; c++) {
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    }
    *ret = method;
    return true;
}

bool check_header_name(const char *text, struct str *why, char **ret)
{
    static const char what[] = "the name of a header";
    static const char *const never[] = {"authorization",  "proxy-authorization",
                                        "host",           "connection",
                                        "content-length", "transfer-encoding"};
    if (!is_token(text, 100))
        return check_refuse(why, text, what);
    AUTO_FREE char *name = xstrdup(text);
    str_lower(name);
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        if (strcmp(name, never[i]) == 0)
            return check_refuse_detail(why, text, what,
                                       "the proxy sets or strips this one, it can't be matched");
    }
    *ret = TAKE_PTR(name);
    return true;
}

bool check_header_value(const char *text, struct str *why, char **ret)
{
    static const char what[] = "the value of a header: printable ASCII, no space at the ends";
    size_t n = strlen(text);
    bool ok = n > 0 && n <= CHECK_TEXT_MAX && text[0] != ' ' && text[n - 1] != ' ';
    for (size_t i = 0; ok && i < n; i++)
        ok = text[i] >= 0x20 && text[i] < 0x7F;
    if (!ok)
        return check_refuse(why, text, what);
    *ret = xstrdup(text);
    return true;
}

static const char cidr_what[] = "an address or network such as '10.1.2.3' or '10.1.0.0/16'";

static bool cidr4(const char *text, struct str *why, char **ret)
{
    uint32_t addr = 0;
    unsigned bits = 0;
    if (!num_parse_ipv4(sv_of(text), &addr, &bits))
        return check_refuse(why, text, cidr_what);
    if (bits == 0)
        return check_refuse_detail(why, text, cidr_what, "/0 would be every address");
    uint32_t mask = UINT32_MAX << (32 - bits);
    if (addr & ~mask) {
        uint32_t net = addr & mask;
        AUTO_FREE char *detail =
            xasprintf("it has bits after the prefix; the network is %u.%u.%u.%u/%u", net >> 24,
                      net >> 16 & 255, net >> 8 & 255, net & 255, bits);
        return check_refuse_detail(why, text, cidr_what, detail);
    }
    *ret = xasprintf("%u.%u.%u.%u/%u", addr >> 24, addr >> 16 & 255, addr >> 8 & 255, addr & 255,
                     bits);
    return true;
}

/* Clears what lies behind the prefix; true when nothing was there. */
static bool mask6(struct in6_addr *a, unsigned bits)
{
    bool clean = true;
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = bits > 8 * i ? bits - 8 * i : 0;
        uint8_t mask = (uint8_t)(0xFF00u >> (keep < 8 ? keep : 8));
        clean = clean && (a->s6_addr[i] & (uint8_t)~mask) == 0;
        a->s6_addr[i] &= mask;
    }
    return clean;
}

static bool cidr6(const char *text, struct str *why, char **ret)
{
    static const uint8_t zeros[12] = {0};
    const char *slash = strchr(text, '/');
    AUTO_FREE char *addr = xmemdup0(text, slash ? (size_t)(slash - text) : strlen(text));
    int64_t bits = 128;
    struct in6_addr a;
    if (inet_pton(AF_INET6, addr, &a) != 1 ||
        (slash && !num_parse(sv_of(slash + 1), 0, 128, &bits)))
        return check_refuse(why, text, cidr_what);
    if (bits == 0)
        return check_refuse_detail(why, text, cidr_what, "/0 would be every address");
    bool mapped = memcmp(a.s6_addr, zeros, 10) == 0 &&
                  (memcmp(a.s6_addr + 10, "\xFF\xFF", 2) == 0 ||
                   (memcmp(a.s6_addr + 10, zeros, 2) == 0 && (a.s6_addr[12] || a.s6_addr[13])));
    if (mapped)
        return check_refuse_detail(why, text, cidr_what, "write an IPv4 address in dotted form");
    bool clean = mask6(&a, (unsigned)bits);
    char shown[INET6_ADDRSTRLEN] = "";
    if (!inet_ntop(AF_INET6, &a, shown, sizeof(shown)))
        return check_refuse(why, text, cidr_what);
    if (!clean) {
        AUTO_FREE char *detail =
            xasprintf("it has bits after the prefix; the network is %s/%u", shown, (unsigned)bits);
        return check_refuse_detail(why, text, cidr_what, detail);
    }
    *ret = xasprintf("%s/%u", shown, (unsigned)bits);
    return true;
}

bool check_cidr(const char *text, struct str *why, char **ret)
{
    return strchr(text, ':') ? cidr6(text, why, ret) : cidr4(text, why, ret);
}
