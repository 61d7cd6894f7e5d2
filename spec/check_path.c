/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/check.h"

#include "spec/base/xalloc.h"
#include "spec/diag.h"

#include <string.h>

enum { PATH_COMPONENT_MAX = 255 };

bool path_is_within(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    if (strcmp(dir, "/") == 0)
        return path[0] == '/';
    return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* NULL, or what is wrong with it. */
static const char *unclean(const char *text)
{
    if (text[0] != '/')
        return "it must start with '/'";
    if (strlen(text) > CHECK_PATH_MAX)
        return "longer than 1024 bytes";
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            return "it has a control character";
    }
    if (text[1] == '\0')
        return "the root directory itself isn't allowed";
    for (const char *p = text; *p;) {
        p++;
        size_t n = strcspn(p, "/");
        if (n == 0)
            return *p ? "it has an empty part ('//')" : "without '/' at the end";
        if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return "it has a '.' or '..' part";
        if (n > PATH_COMPONENT_MAX)
            return "a part is longer than 255 bytes";
        p += n;
    }
    return NULL;
}

static bool clean_path(const char *text, struct str *why, const char *what)
{
    const char *wrong = unclean(text);
    return !wrong || check_refuse_detail(why, text, what, wrong);
}

bool check_path(const char *text, struct str *why, char **ret)
{
    if (!clean_path(text, why, "an absolute path"))
        return false;
    *ret = xstrdup(text);
    return true;
}

/* Of the host: what runs it, what its programs tell each other, and engines' own data. Neither
 * these nor what holds or is in them. */
static const char *const closed_sources[] = {
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/local/sbin",
    "/usr/sbin",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/lib/systemd",
    "/var/run",
    "/var/spool/cron",
};

/* A whole home directory: its keys, and the files that its owner's shell runs; or where everybody's
 * sockets are. What is in it is another matter. */
static const char *shared_place(const char *path)
{
    static const char *const whole[] = {"/home", "/root", "/tmp", "/var/tmp"};
    static const char home[] = "/home/";
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        if (strcmp(path, whole[i]) == 0)
            return "the whole of it would break the seal; name a directory in it";
    }
    if (strncmp(path, home, strlen(home)) == 0 && !strchr(path + strlen(home), '/'))
        return "a whole home directory, with its keys and what its shell runs, would break the "
               "seal; name a directory in it";
    return NULL;
}

static bool is_socket_part(const char *part, size_t n)
{
    static const char *const places[] = {".X11-unix", ".ICE-unix"};
    static const char sock[] = ".sock";
    struct sv name = {part, n};
    return sv_eq(name, places[0]) || sv_eq(name, places[1]) ||
           (n >= strlen(sock) && memcmp(part + n - strlen(sock), sock, strlen(sock)) == 0);
}

static bool is_secret_part(const char *part, size_t n)
{
    static const char *const secret[] = {".aws", ".azure", ".docker", ".gnupg", ".kube", ".ssh"};
    for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
        if (sv_eq((struct sv){part, n}, secret[i]))
            return true;
    }
    return false;
}

static bool any_part(const char *path, bool (*is)(const char *part, size_t n))
{
    for (const char *p = path; *p == '/';) {
        p++;
        size_t n = strcspn(p, "/");
        if (is(p, n))
            return true;
        p += n;
    }
    return false;
}

/* What a part of the path tells. */
static const char *telling_part(const char *path)
{
    if (any_part(path, is_socket_part))
        return "a socket of the host, such as an engine's, would break the seal";
    if (any_part(path, is_secret_part))
        return "somebody's credentials are kept there";
    return NULL;
}

bool check_mount_source(const char *text, struct str *why, char **ret)
{
    static const char what[] = "a directory of the host that a bottle may have";
    if (!clean_path(text, why, "an absolute path of the host"))
        return false;
    const char *wrong = telling_part(text);
    if (!wrong)
        wrong = shared_place(text);
    if (wrong)
        return check_refuse_detail(why, text, what, wrong);
    for (size_t i = 0; i < sizeof(closed_sources) / sizeof(closed_sources[0]); i++) {
        const char *closed = closed_sources[i];
        if (path_is_within(text, closed) || path_is_within(closed, text)) {
            AUTO_FREE char *detail = xasprintf("%s of the host would break the seal", closed);
            return check_refuse_detail(why, text, what, detail);
        }
    }
    *ret = xstrdup(text);
    return true;
}

static bool not_ours(const char *text, struct str *why, const char *what, bool also_above)
{
    static const char *const closed[] = {"/dev", "/etc/bottler", "/proc", "/sys"};
    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
        if (path_is_within(text, closed[i]) || (also_above && path_is_within(closed[i], text))) {
            AUTO_FREE char *detail = xasprintf("%s is not the manifest's to fill", closed[i]);
            return check_refuse_detail(why, text, what, detail);
        }
    }
    return true;
}

bool check_mount_target(const char *text, struct str *why, char **ret)
{
    static const char what[] = "an absolute path in the agent's container";
    if (!clean_path(text, why, what) || !not_ours(text, why, what, true))
        return false;
    *ret = xstrdup(text);
    return true;
}

bool check_file_path(const char *text, struct str *why, char **ret)
{
    static const char what[] = "the absolute path of a file in the agent's container";
    if (!clean_path(text, why, what) || !not_ours(text, why, what, false))
        return false;
    *ret = xstrdup(text);
    return true;
}
