/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/check.h"

#include "spec/base/num.h"
#include "spec/base/xalloc.h"
#include "spec/diag.h"

#include <string.h>

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

enum { HOST_KEY_MAX = 4096 };

/* A host of git's: a name as for routes, or an IPv4 address. */
static bool git_host(const char *host, struct str *why)
{
    uint32_t addr = 0;
    unsigned bits = 0;
    if (!strchr(host, '/') && num_parse_ipv4(sv_of(host), &addr, &bits))
        return true;
    AUTO_FREE char *normal = NULL;
    return check_host(host, why, &normal);
}

static const char *bad_repo_path(const char *p)
{
    if (p[0] != '/' || !p[1])
        return "without a path of a repository";
    if (p[strspn(p, ALNUM "._~/+-")] != '\0')
        return "the path may have letters, digits and '._~/+-'";
    for (p++; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 0 || p[0] == '-' || (n <= 2 && strspn(p, ".") >= n))
            return "the path has an empty part, a '.' or '..', or one that starts with '-'";
        p += n;
        if (*p && !*++p)
            return "the path ends with '/'";
    }
    return NULL;
}

static const char password[] = "a password can't be part of an ssh:// URL";

static const char *bad_authority(char *authority, struct str *why_host)
{
    char *at = strrchr(authority, '@');
    char *host = at ? at + 1 : authority;
    if (at) {
        *at = '\0';
        if (strchr(authority, ':'))
            return password;
        if (!*authority || strlen(authority) > 64 ||
            authority[strspn(authority, ALNUM "._-")] != '\0' || authority[0] == '-')
            return "the user before '@' isn't valid";
    }
    char *colon = strchr(host, ':');
    int64_t port = 0;
    if (colon) {
        *colon = '\0';
        if (!num_parse(sv_of(colon + 1), 1, 65535, &port))
            return "the port must be a number from 1 to 65535";
    }
    return git_host(host, why_host) ? NULL : "";
}

bool check_ssh_url(const char *text, struct str *why, char **ret)
{
    static const char what[] = "a URL such as 'ssh://git@git.example.com/acme/site.git'";
    static const char scheme[] = "ssh://";
    if (strncmp(text, scheme, sizeof(scheme) - 1) != 0)
        return check_refuse_detail(why, text, what, "it must start with ssh://");
    if (strlen(text) > CHECK_PATH_MAX)
        return check_refuse_detail(why, text, what, "longer than 1024 bytes");
    const char *rest = text + sizeof(scheme) - 1;
    size_t n = strcspn(rest, "/");
    AUTO_FREE char *authority = xmemdup0(rest, n);
    struct str host_why;
    str_init(&host_why, CHECK_WHY_MAX);
    const char *wrong = bad_authority(authority, &host_why);
    if (!wrong)
        wrong = bad_repo_path(rest + n);
    bool ok = !wrong;
    if (ok)
        *ret = xstrdup(text);
    else if (!*wrong)
        str_add(why, host_why.p);
    else if (wrong == password)
        str_add(why, wrong); /* and never the URL */
    else
        check_refuse_detail(why, text, what, wrong);
    str_done(&host_why);
    return ok;
}

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *p = c ? strchr(digits, c) : NULL;
    return p ? (int)(p - digits) : -1;
}

/* Decodes up to `max` bytes of padded base64. False when it isn't that. */
static bool base64_decode(const char *text, uint8_t *ret, size_t max, size_t *ret_n)
{
    size_t n = strlen(text);
    size_t pad = n && text[n - 1] == '=' ? 1 : 0;
    pad += pad && n > 1 && text[n - 2] == '=' ? 1 : 0;
    if (n == 0 || n % 4 != 0 || n / 4 * 3 > max)
        return false;
    uint32_t acc = 0;
    size_t out = 0;
    for (size_t i = 0; i < n - pad; i++) {
        int d = base64_digit(text[i]);
        if (d < 0)
            return false;
        acc = acc << 6 | (uint32_t)d;
        if (i % 4 != 0)
            ret[out++] = (uint8_t)(acc >> (6 - 2 * (i % 4)) & 0xFF);
    }
    *ret_n = out;
    return true;
}

/* The key begins with its own type, length first (RFC 4253 6.6), and goes on after it. */
static bool blob_is_of_type(const char *type, const char *base64)
{
    uint8_t blob[HOST_KEY_MAX];
    size_t n = 0;
    size_t t = strlen(type);
    if (!base64_decode(base64, blob, sizeof(blob), &n) || n < 4 + t + 4 + 32)
        return false;
    size_t len = (size_t)blob[0] << 24 | (size_t)blob[1] << 16 | (size_t)blob[2] << 8 | blob[3];
    return len == t && memcmp(blob + 4, type, t) == 0;
}

bool check_host_key(const char *text, struct str *why, char **ret)
{
    static const char what[] = "a host key such as 'ssh-ed25519 AAAAC3...'";
    static const char *const types[] = {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
                                        "ecdsa-sha2-nistp521", "ssh-rsa"};
    size_t type_len = strcspn(text, " ");
    AUTO_FREE char *type = xmemdup0(text, type_len);
    bool known = false;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        known = known || strcmp(type, types[i]) == 0;
    if (!known)
        return check_refuse_detail(
            why, text, what,
            "the first word is the type: ssh-ed25519, ecdsa-sha2-nistp* or ssh-rsa");
    const char *key = text + type_len + strspn(text + type_len, " ");
    AUTO_FREE char *base64 = xmemdup0(key, strcspn(key, " "));
    if (strpbrk(text, "\n\r\t"))
        return check_refuse_detail(why, text, what, "it must be one line");
    if (!blob_is_of_type(type, base64))
        return check_refuse_detail(why, text, what, "the second word isn't a key of that type");
    *ret = xasprintf("%s %s", type, base64);
    return true;
}
