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

static bool has_socket_name(const char *path)
{
    static const char *const names[] = {"docker.sock", "containerd.sock", "podman.sock",
                                        "crio.sock"};
    for (const char *p = path; *p == '/';) {
        p++;
        size_t n = strcspn(p, "/");
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (n == strlen(names[i]) && memcmp(p, names[i], n) == 0)
                return true;
        }
        p += n;
    }
    return false;
}

bool check_mount_source(const char *text, struct str *why, char **ret)
{
    static const char what[] = "a directory of the host that a bottle may have";
    static const char *const closed[] = {
        "/boot",
        "/dev",
        "/etc",
        "/proc",
        "/run",
        "/sys",
        "/var/run",
        "/var/lib/docker",
        "/var/lib/containerd",
    };
    if (!clean_path(text, why, "an absolute path of the host"))
        return false;
    if (has_socket_name(text))
        return check_refuse_detail(why, text, what, "an engine's socket would break the seal");
    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
        if (path_is_within(text, closed[i]) || path_is_within(closed[i], text)) {
            AUTO_FREE char *detail = xasprintf("%s of the host would break the seal", closed[i]);
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
