/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/check.h"

#include "spec/base/num.h"
#include "spec/base/xalloc.h"
#include "spec/diag.h"

#include <string.h>
#include <strings.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define ALNUM LOWER UPPER DIGITS

bool check_refuse_detail(struct str *why, const char *text, const char *what, const char *detail)
{
    AUTO_FREE char *q = diag_quote(text);
    str_addf(why, "expected %s, got %s%s%s", what, q, detail ? ": " : "", detail ? detail : "");
    return false;
}

bool check_refuse(struct str *why, const char *text, const char *what)
{
    return check_refuse_detail(why, text, what, NULL);
}

static bool accept(const char *text, char **ret)
{
    *ret = xstrdup(text);
    return true;
}

/* All of `text` from `set`, its first and last character also from `ends`. */
static bool is_word(const char *text, const char *set, const char *ends, size_t max)
{
    size_t n = strlen(text);
    return n > 0 && n <= max && strspn(text, set) == n && strchr(ends, text[0]) != NULL &&
           strchr(ends, text[n - 1]) != NULL;
}

static bool has_control(const char *text, const char *allowed)
{
    for (const char *c = text; *c; c++) {
        unsigned char u = (unsigned char)*c;
        if ((u < 0x20 || u == 0x7F) && !strchr(allowed, *c))
            return true;
    }
    return false;
}

bool check_name(const char *text, struct str *why, char **ret)
{
    if (!is_word(text, LOWER DIGITS "-", LOWER DIGITS, CHECK_NAME_MAX))
        return check_refuse(
            why, text,
            "a name of at most 40 lower-case letters, digits and '-', with a letter "
            "or digit at both ends");
    return accept(text, ret);
}

bool check_uid(const char *text, struct str *why, char **ret)
{
    if (!is_word(text, LOWER DIGITS "-", LOWER DIGITS, 63))
        return check_refuse(
            why, text, "an id of at most 63 lower-case letters, digits and '-', such as a UUID");
    return accept(text, ret);
}

static bool has_reserved_label_prefix(const char *key)
{
    static const char *const prefixes[] = {"dev.bottler", "com.docker", "io.docker",
                                           "org.dockerproject"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        size_t n = strlen(prefixes[i]);
        if (strncasecmp(key, prefixes[i], n) == 0 && (!key[n] || key[n] == '.' || key[n] == '/'))
            return true;
    }
    return false;
}

bool check_label_key(const char *text, struct str *why, char **ret)
{
    static const char what[] = "a label key such as 'team' or 'example.com/team'";
    if (has_reserved_label_prefix(text))
        return check_refuse_detail(why, text, what,
                                   "keys below dev.bottler and the engine's own are reserved");
    const char *slash = strchr(text, '/');
    const char *name = slash ? slash + 1 : text;
    if (!is_word(name, ALNUM "-_.", ALNUM, 63))
        return check_refuse(why, text, what);
    if (slash) {
        AUTO_FREE char *prefix = xmemdup0(text, (size_t)(slash - text));
        if (!is_word(prefix, LOWER DIGITS "-.", LOWER DIGITS, 253) || strstr(prefix, ".."))
            return check_refuse(why, text, what);
    }
    return accept(text, ret);
}

bool check_label_value(const char *text, struct str *why, char **ret)
{
    if (*text && !is_word(text, ALNUM "-_.", ALNUM, 63))
        return check_refuse(why, text,
                            "a label value of at most 63 letters, digits, '-', '_' and '.', with a "
                            "letter or digit at both ends");
    return accept(text, ret);
}

bool check_text(const char *text, struct str *why, char **ret)
{
    if (!*text || strlen(text) > CHECK_TEXT_MAX || has_control(text, ""))
        return check_refuse(why, text, "one line of text, at most 1024 bytes");
    return accept(text, ret);
}

bool check_content(const char *text, struct str *why, char **ret)
{
    if (strlen(text) > CHECK_CONTENT_MAX) {
        str_addf(why, "expected at most %d KiB of text, got %zu bytes", CHECK_CONTENT_MAX / 1024,
                 strlen(text));
        return false;
    }
    return accept(text, ret);
}

bool check_argument(const char *text, struct str *why, char **ret)
{
    if (strlen(text) > CHECK_ENV_VALUE_MAX) {
        str_addf(why, "expected at most %d KiB of text, got %zu bytes", CHECK_ENV_VALUE_MAX / 1024,
                 strlen(text));
        return false;
    }
    return accept(text, ret);
}

/* One path component of a repository: letters and digits, single separators between. */
static bool is_image_component(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr(LOWER DIGITS, p[i]))
            continue;
        bool inside = i > 0 && i + 1 < n;
        bool after_alnum = inside && strchr(LOWER DIGITS, p[i - 1]);
        bool double_underscore =
            inside && p[i] == '_' && p[i - 1] == '_' && (i < 2 || p[i - 2] != '_');
        bool dashes = inside && p[i] == '-' && p[i - 1] == '-';
        if (!strchr("._-", p[i]) || !(after_alnum || double_underscore || dashes))
            return false;
    }
    return n > 0;
}

static bool is_registry(const char *p, size_t n)
{
    const char *colon = memchr(p, ':', n);
    size_t host = colon ? (size_t)(colon - p) : n;
    int64_t port = 0;
    if (colon && !num_parse((struct sv){colon + 1, n - host - 1}, 1, 65535, &port))
        return false;
    AUTO_FREE char *name = xmemdup0(p, host);
    return is_word(name, ALNUM "-.", ALNUM, CHECK_HOST_MAX) && !strstr(name, "..");
}

/* The repository: [registry/]component{/component}. */
static bool is_repository(const char *p, size_t n)
{
    const char *end = p + n;
    const char *slash = memchr(p, '/', n);
    if (n > 255)
        return false;
    if (slash) {
        size_t first = (size_t)(slash - p);
        bool registry = memchr(p, '.', first) || memchr(p, ':', first) ||
                        (first == 9 && memcmp(p, "localhost", 9) == 0);
        if (registry) {
            if (!is_registry(p, first))
                return false;
            p = slash + 1;
        }
    }
    for (;;) {
        slash = memchr(p, '/', (size_t)(end - p));
        const char *stop = slash ? slash : end;
        if (!is_image_component(p, (size_t)(stop - p)))
            return false;
        if (!slash)
            return true;
        p = slash + 1;
    }
}

static bool is_image(const char *text)
{
    const char *at = strchr(text, '@');
    size_t n = at ? (size_t)(at - text) : strlen(text);
    if (at && (strncmp(at, "@sha256:", 8) != 0 || strlen(at) != 8 + 64 || !str_is_hex(at + 8, 64)))
        return false;
    const char *last = memrchr(text, '/', n);
    const char *base = last ? last + 1 : text;
    const char *colon = memchr(base, ':', n - (size_t)(base - text));
    size_t repository = colon ? (size_t)(colon - text) : n;
    if (colon) {
        AUTO_FREE char *tag = xmemdup0(colon + 1, n - repository - 1);
        if (!is_word(tag, ALNUM "_.-", ALNUM "_.-", 128) || strchr(".-", tag[0]))
            return false;
    }
    return is_repository(text, repository);
}

bool check_image(const char *text, struct str *why, char **ret)
{
    bool bare_id = strlen(text) == 64 && str_is_hex(text, 64);
    if (bare_id || !is_image(text))
        return check_refuse(why, text,
                            "an image such as 'ghcr.io/acme/agent:1.4' or 'name@sha256:<64 hex>'");
    return accept(text, ret);
}

bool check_image_prefix(const char *text, struct str *why, char **ret)
{
    static const char what[] = "a registry, or a path in one, such as 'ghcr.io/acme/'";
    size_t n = strlen(text);
    AUTO_FREE char *name = xmemdup0(text, n && text[n - 1] == '/' ? n - 1 : n);
    const char *slash = strchr(name, '/');
    size_t first = slash ? (size_t)(slash - name) : strlen(name);
    struct sv host = {name, first};
    if (!memchr(name, '.', first) && !memchr(name, ':', first) && !sv_eq(host, "localhost"))
        return check_refuse_detail(why, text, what,
                                   "the registry comes first; the public hub's is docker.io");
    if (slash ? !is_repository(name, strlen(name)) : !is_registry(name, first))
        return check_refuse_detail(
            why, text, what, "parts of lower-case letters and digits, without a tag or digest");
    /* What is after the registry is in lower case already. */
    str_lower(name);
    bool hub = sv_eq(host, "index.docker.io");
    return accept(name + (hub ? strlen("index.") : 0), ret);
}

static bool is_user_part(const char *text)
{
    int64_t id = 0;
    if (num_parse(sv_of(text), 0, INT32_MAX, &id))
        return true;
    return is_word(text, ALNUM "_-.", ALNUM "_", 32) && !strchr(DIGITS, text[0]);
}

bool check_user(const char *text, struct str *why, char **ret)
{
    const char *colon = strchr(text, ':');
    AUTO_FREE char *first = xmemdup0(text, colon ? (size_t)(colon - text) : strlen(text));
    if (!is_user_part(first) || (colon && !is_user_part(colon + 1)))
        return check_refuse(why, text, "a user such as \"1000:1000\", \"1000\" or \"node\"");
    return accept(text, ret);
}

bool check_runtime(const char *text, struct str *why, char **ret)
{
    if (!is_word(text, ALNUM "_.-", ALNUM, 64))
        return check_refuse(why, text, "auto or the name of a runtime of the engine");
    return accept(text, ret);
}

bool check_volume(const char *text, struct str *why, char **ret)
{
    if (!is_word(text, LOWER DIGITS "-_.", LOWER DIGITS, CHECK_NAME_MAX))
        return check_refuse(why, text,
                            "a volume name of at most 40 lower-case letters, digits, '-', '_' and "
                            "'.', with a letter or digit at both ends");
    return accept(text, ret);
}

bool env_name_is_reserved(const char *name)
{
    static const char *const names[] = {
        "ALL_PROXY",
        "AWS_CA_BUNDLE",
        "CARGO_HTTP_CAINFO",
        "CURL_CA_BUNDLE",
        "DENO_CERT",
        "FTP_PROXY",
        "GIT_SSL_CAINFO",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NIX_SSL_CERT_FILE",
        "NODE_EXTRA_CA_CERTS",
        "NODE_USE_ENV_PROXY",
        "NO_PROXY",
        "PIP_CERT",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "GIT_PROXY_SSL_CAINFO",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    return strncasecmp(name, "BOTTLER_", 8) == 0;
}

static bool is_env_name(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && n <= 255 && strspn(text, ALNUM "_") == n && !strchr(DIGITS, text[0]);
}

bool check_env_name(const char *text, struct str *why, char **ret)
{
    static const char what[] = "the name of an environment variable";
    if (!is_env_name(text))
        return check_refuse_detail(why, text, what,
                                   "letters, digits and '_', not starting with a digit");
    if (env_name_is_reserved(text))
        return check_refuse_detail(why, text, what,
                                   "bottler sets this one itself, for the bottle's proxy and CA");
    return accept(text, ret);
}

/* Neither this nor check_env_value() repeats the text: it may be the secret itself. */
bool check_secret_name(const char *text, struct str *why, char **ret)
{
    if (strncmp(text, "${", 2) == 0) {
        str_add(why, "expected the bare name of a secret, without ${}");
        return false;
    }
    if (!is_env_name(text)) {
        str_add(why, "expected the name of a secret, not the secret: letters, digits and '_', not "
                     "starting with a digit");
        return false;
    }
    return accept(text, ret);
}

bool check_env_value(const char *text, struct str *why, char **ret_value, char **ret_secret)
{
    size_t n = strlen(text);
    if (n > CHECK_ENV_VALUE_MAX) {
        str_addf(why, "expected at most %d KiB of text, got %zu bytes", CHECK_ENV_VALUE_MAX / 1024,
                 n);
        return false;
    }
    if (!strstr(text, "${")) {
        *ret_value = xstrdup(text);
        return true;
    }
    if (n > 3 && strncmp(text, "${", 2) == 0 && text[n - 1] == '}') {
        AUTO_FREE char *name = xmemdup0(text + 2, n - 3);
        if (is_env_name(name)) {
            *ret_secret = TAKE_PTR(name);
            return true;
        }
    }
    str_add(why,
            "expected plain text, or ${NAME} as the whole value: a secret reference can't be a "
            "part of one, and its name has only letters, digits and '_'");
    return false;
}

bool check_person(const char *text, struct str *why, char **ret)
{
    if (!*text || strlen(text) > 255 || has_control(text, "") || strpbrk(text, "<>"))
        return check_refuse(why, text, "a name of one line without '<' and '>'");
    return accept(text, ret);
}

bool check_email(const char *text, struct str *why, char **ret)
{
    const char *at = strchr(text, '@');
    if (!at || at == text || !at[1] || strchr(at + 1, '@') || strlen(text) > 254 ||
        has_control(text, "") || strpbrk(text, " <>,;:\"\\"))
        return check_refuse(why, text, "a mail address such as ada@example.com");
    return accept(text, ret);
}

bool check_repo_name(const char *text, struct str *why, char **ret)
{
    static const char what[] = "a repository name of letters, digits, '.', '_' and '-'";
    size_t n = strlen(text);
    if (!is_word(text, ALNUM "._-", ALNUM "_", 100) || strstr(text, ".."))
        return check_refuse(why, text, what);
    if (n > 4 && strcmp(text + n - 4, ".git") == 0)
        return check_refuse_detail(why, text, what, "without '.git' at the end");
    return accept(text, ret);
}
