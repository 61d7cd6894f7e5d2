/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/git_url.h"

#include "spec/base/str.h"
#include "spec/base/xalloc.h"

#include <jansson.h>

#include <string.h>

#define MASK GIT_URL_MASK

enum { WORDS_MAX = 400 };

static bool starts(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

/* ---- forms ---------------------------------------------------------------------------------- */

/* Where "//" and the authority begin; NULL: it has no scheme. */
static const char *authority(const char *url)
{
    const char *at = strstr(url, "://");
    return at ? at + strlen("://") : NULL;
}

/* user@host:path. As git does: no slash before the colon. */
static bool is_scp_like(const char *url)
{
    size_t n = strcspn(url, ":/");
    return n > 0 && url[n] == ':' && url[n + 1] && url[n + 1] != ':' && !authority(url);
}

static bool only_plain(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f)
            return false;
    return true;
}

static struct err *check_host(const char *url, const char *host)
{
    const char *end = host + strcspn(host, "/");
    const char *user_end = NULL;
    for (const char *p = host; p < end; p++)
        if (*p == '@')
            user_end = p;
    if (user_end)
        host = user_end + 1;
    if (host < end && *host != '-' && *host != ':')
        return NULL;
    AUTO_FREE char *shown = git_url_shown(url);
    return err_new(ERR_INVALID, "git URL '%s': expected a host", shown);
}

struct err *git_url_check(const char *url)
{
    static const char *const remote[] = {"https://", "ssh://", "git://"};
    AUTO_FREE char *shown = git_url_shown(url);
    if (!*url || strlen(url) > GIT_URL_MAX || !only_plain(url) || url[0] == '-')
        return err_new(ERR_INVALID,
                       "git URL '%s': expected printable characters without spaces, at most %d, no "
                       "'-' in front",
                       shown, GIT_URL_MAX);
    for (size_t i = 0; i < sizeof(remote) / sizeof(*remote); i++)
        if (starts(url, remote[i]))
            return check_host(url, url + strlen(remote[i]));
    if (starts(url, "file:///") || (url[0] == '/' && !strstr(url, "::")))
        return NULL;
    if (is_scp_like(url))
        return check_host(url, url);
    if (starts(url, "http://"))
        return err_new(ERR_INVALID,
                       "git URL '%s': whoever is on the way could write the manifests; expected "
                       "https://…",
                       shown);
    return err_new(ERR_INVALID,
                   "git URL '%s': expected https://…, ssh://…, git://…, file:///…, user@host:path "
                   "or an absolute path",
                   shown);
}

const char *git_url_local(const char *url)
{
    static const char scheme[] = "file://";
    if (url && starts(url, scheme))
        url += strlen(scheme);
    return url && url[0] == '/' ? url : NULL;
}

bool git_is_commit(const char *text)
{
    return strlen(text) == GIT_COMMIT_HEX &&
           strspn(text, "0123456789abcdef") == (size_t)GIT_COMMIT_HEX;
}

static bool ends(const char *s, const char *with)
{
    size_t n = strlen(s), m = strlen(with);
    return n >= m && strcmp(s + n - m, with) == 0;
}

struct err *git_ref_check(const char *ref)
{
    bool good = *ref && strlen(ref) <= GIT_REF_MAX && only_plain(ref) &&
                !strpbrk(ref, "~^:?*[\\\"'") && !strstr(ref, "..") && !strstr(ref, "@{") &&
                !strstr(ref, "//") && !strstr(ref, "/.") && ref[0] != '-' && ref[0] != '/' &&
                ref[0] != '.' && !ends(ref, "/") && !ends(ref, ".") && !ends(ref, ".lock") &&
                strcmp(ref, "@") != 0;
    if (good)
        return NULL;
    return err_new(
        ERR_INVALID,
        "git ref '%s': expected a branch, a tag, a full name such as refs/heads/main, or "
        "a full commit id",
        ref);
}

struct err *git_path_check(const char *path)
{
    json_t *utf8 = json_string(path);
    bool good = utf8 && strlen(path) <= GIT_PATH_MAX && path[0] != '/' && !ends(path, "/");
    json_decref(utf8);
    for (const char *p = path; good && *p; p++)
        good = (unsigned char)*p >= ' ' && *p != 0x7f;
    for (const char *p = path; good && *p;) {
        size_t n = strcspn(p, "/");
        good = n > 0 && *p != '.';
        p += n + (p[n] == '/');
    }
    if (good)
        return NULL;
    return err_new(ERR_INVALID,
                   "path '%s' in the repository: expected a directory such as bottles/prod: "
                   "relative, nothing hidden, no '..'",
                   path);
}

/* ---- what may be shown ---------------------------------------------------------------------- */

/* The userinfo of a URL with a scheme: from `*ret`, the length is the answer; 0: it has none. */
static size_t userinfo(const char *url, const char **ret)
{
    const char *from = authority(url);
    if (!from)
        return 0;
    size_t n = strcspn(from, "/?#");
    while (n > 0 && from[n - 1] != '@')
        n--;
    *ret = from;
    return n ? n - 1 : 0;
}

/* The user of ssh is mostly just "git". */
static bool is_harmless(const char *url, const char *info, size_t n)
{
    return starts(url, "ssh://") && !memchr(info, ':', n);
}

char *git_url_shown(const char *url)
{
    const char *info = NULL;
    size_t n = userinfo(url, &info);
    if (!n || is_harmless(url, info, n))
        return xstrdup(url);
    return xasprintf("%.*s" MASK "%s", (int)(info - url), url, info + n);
}

/* Up to where a URL in a text may reach. */
static size_t url_span(const char *s)
{
    return strcspn(s, " \t\r\n'\"<>");
}

static void add_masked(struct str *out, const char *text, const char *secret)
{
    size_t secret_n = strlen(secret);
    while (*text) {
        if (secret_n && starts(text, secret)) {
            str_add(out, MASK);
            text += secret_n;
        } else if (starts(text, "://")) {
            AUTO_FREE char *rest = xmemdup0(text, url_span(text));
            const char *info = NULL;
            size_t n = userinfo(rest, &info);
            str_add(out, n ? "://" MASK : "://");
            text += strlen("://") + n;
        } else {
            str_addc(out, *text++);
        }
    }
}

static bool is_noise(const char *line)
{
    static const char *const noise[] = {
        "hint:",
        "Please make sure you have the correct access rights",
        "and the repository exists.",
        "remote: Enumerating",
        "remote: Counting",
        "remote: Compressing",
        "remote: Total",
        "Receiving objects",
        "Resolving deltas",
        "Unpacking objects",
        "warning: redirecting",
    };
    for (size_t i = 0; i < sizeof(noise) / sizeof(*noise); i++)
        if (starts(line, noise[i]))
            return true;
    return !*line;
}

static void make_printable(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || (unsigned char)*s >= 0x7f)
            *s = '?';
}

char *git_words(const char *printed, const char *url)
{
    const char *info = NULL;
    size_t n = userinfo(url, &info);
    AUTO_FREE char *secret = xmemdup0(n && !is_harmless(url, info, n) ? info : "",
                                      n && !is_harmless(url, info, n) ? n : 0);
    struct str all, out;
    str_init(&all, strlen(printed) * strlen(MASK) + 1);
    str_init(&out, WORDS_MAX);
    add_masked(&all, printed, secret);
    for (char *line = all.p; *line;) {
        size_t len = strcspn(line, "\r\n");
        bool last = !line[len];
        line[len] = '\0';
        make_printable(line);
        if (!is_noise(line)) {
            size_t room = WORDS_MAX - out.len;
            AUTO_FREE char *piece = xasprintf("%s%s", out.len ? "; " : "", line);
            str_addn(&out, piece, strlen(piece) > room ? room : strlen(piece));
        }
        line += len + (last ? 0 : 1);
    }
    str_done(&all);
    return XNN(str_take(&out));
}
