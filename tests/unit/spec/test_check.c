/* SPDX-License-Identifier: Apache-2.0 */
/* What each check accepts, and in which form; what it refuses is mostly in the golden tests. */
#include "tests/unit/support.h"

#include <string.h>

#include "spec/base/xalloc.h"
#include "spec/check.h"

struct text_case {
    check_text_fn *check;
    const char *text;
    const char *normal; /* NULL: refused */
};

static void run_text(const struct text_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct str why;
        char *normal = NULL;
        str_init(&why, CHECK_WHY_MAX);
        bool ok = cases[i].check(cases[i].text, &why, &normal);
        bool right = cases[i].normal ? ok && strcmp(normal, cases[i].normal) == 0 && why.len == 0
                                     : !ok && !normal && why.len > 0;
        if (!right)
            fail_msg("case %zu, '%s': %s, '%s'", i, cases[i].text, normal ? normal : "refused",
                     why.p);
        free(normal);
        str_done(&why);
    }
}
#define RUN_TEXT(cases) run_text(cases, sizeof(cases) / sizeof(cases[0]))

static void test_names(void **state)
{
    (void)state;
    static const struct text_case cases[] = {
        {check_name, "a", "a"},
        {check_name, "0-a", "0-a"},
        {check_name, "abcdefghijklmnopqrstuvwxyz-0123456789-abc", NULL},
        {check_name, "abcdefghijklmnopqrstuvwxyz-0123456789-ab",
         "abcdefghijklmnopqrstuvwxyz-0123456789-ab"},
        {check_name, "a\n", NULL},
        {check_uid, "0b9c9c3a-6d1f-4b8e-9a53-2f7d1f0e6c11", "0b9c9c3a-6d1f-4b8e-9a53-2f7d1f0e6c11"},
        {check_label_key, "team", "team"},
        {check_label_key, "Team_1.x", "Team_1.x"},
        {check_label_key, "example.com/team", "example.com/team"},
        {check_label_key, "example.com/a/b", NULL},
        {check_label_key, "example..com/a", NULL},
        {check_label_key, "/a", NULL},
        {check_label_key, "a/", NULL},
        {check_label_key, "dev.bottler", NULL},
        {check_label_key, "dev.bottlers", "dev.bottlers"},
        {check_label_value, "", ""},
        {check_label_value, "a.b", "a.b"},
        {check_volume, "cache_1.x", "cache_1.x"},
        {check_volume, ".cache", NULL},
        {check_env_name, "_a1", "_a1"},
        {check_env_name, "PATH", "PATH"},
        {check_env_name, "all_proxy", NULL},
        {check_env_name, "PROXY", "PROXY"},
        {check_secret_name, "GH_PAT", "GH_PAT"},
        {check_secret_name, "HTTPS_PROXY", "HTTPS_PROXY"},
        {check_secret_name, "../x", NULL},
        {check_secret_name, "", NULL},
        {check_repo_name, "site-1.x", "site-1.x"},
        {check_repo_name, "-site", NULL},
        {check_repo_name, ".git", NULL},
        {check_repo_name, "a..b", NULL},
        {check_runtime, "io.containerd.runsc.v1", "io.containerd.runsc.v1"},
        {check_user, "0", "0"},
        {check_user, "1000:1000", "1000:1000"},
        {check_user, "node:staff", "node:staff"},
        {check_user, "node:", NULL},
        {check_user, ":1", NULL},
        {check_user, "1:2:3", NULL},
        {check_user, "-1", NULL},
        {check_user, "01", NULL},
        {check_person, "Ada \xC3\x89. L", "Ada \xC3\x89. L"},
        {check_person, "a\nb", NULL},
        {check_email, "a.b+c@example.com", "a.b+c@example.com"},
        {check_email, "a b@example.com", NULL},
        {check_email, "a@b@c", NULL},
        {check_text, "a line", "a line"},
        {check_text, "two\nlines", NULL},
        {check_content, "", ""},
        {check_content, "two\nlines\n", "two\nlines\n"},
    };
    RUN_TEXT(cases);
}

static void test_images(void **state)
{
    (void)state;
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    static const struct text_case cases[] = {
        {check_image, "a", "a"},
        {check_image, "debian:12", "debian:12"},
        {check_image, "acme/agent", "acme/agent"},
        {check_image, "ghcr.io/acme/agent:1.4", "ghcr.io/acme/agent:1.4"},
        {check_image, "localhost/agent", "localhost/agent"},
        {check_image, "localhost:5000/a/b/c:T_a.g-1", "localhost:5000/a/b/c:T_a.g-1"},
        {check_image, "Registry.example.com/a", "Registry.example.com/a"},
        {check_image, "a@sha256:" HEX64, "a@sha256:" HEX64},
        {check_image, "a.example.com/b:1@sha256:" HEX64, "a.example.com/b:1@sha256:" HEX64},
        {check_image, "a__b/c--d/e.f_g", "a__b/c--d/e.f_g"},
        {check_image, "a___b", NULL},
        {check_image, "a._b", NULL},
        {check_image, "a..b", NULL},
        {check_image, "a-", NULL},
        {check_image, "a/", NULL},
        {check_image, "/a", NULL},
        {check_image, "a:", NULL},
        {check_image, "a:.x", NULL},
        {check_image, "a:b:c", NULL},
        {check_image, "a@b", NULL},
        {check_image, "a@sha256:" HEX64 "0", NULL},
        {check_image, "@sha256:" HEX64, NULL},
        {check_image, "a@sha512:" HEX64, NULL},
        {check_image, "example.com:/a", NULL},
        {check_image, "example.com:0/a", NULL},
        {check_image, ".example.com/a", NULL},
        {check_image, "a\tb", NULL},
        {check_image, "a$(x)", NULL},
        {check_image, HEX64, NULL},
    };
    RUN_TEXT(cases);
}

static void test_hosts(void **state)
{
    (void)state;
    static const struct text_case cases[] = {
        {check_host, "api.example.com", "api.example.com"},
        {check_host, "API.Example.COM", "api.example.com"},
        {check_host, "a-b.c_d.example", NULL},
        {check_host, "_dmarc.example.com", NULL},
        {check_host, "bottler-canary.invalid", NULL},
        {check_host, "1.2.3.example", "1.2.3.example"},
        {check_host, "xn--bcher-kva.example", "xn--bcher-kva.example"},
        {check_host, "XN--BCHER-KVA.example", "xn--bcher-kva.example"},
        {check_host, "a--b.example.com", "a--b.example.com"},
        {check_host, "agent.example.com", "agent.example.com"},
        {check_host, "localhost.example.com", "localhost.example.com"},
        {check_host, "printer.local", "printer.local"},
        {check_host, "a.0x7f", NULL},
        {check_host, "a.b.1", NULL},
        {check_host, "a.0xg", "a.0xg"},
        {check_host, "a._egress.local", NULL},
        {check_host, "xn--.example.com", NULL},
        {check_host, "xn--a_b.example.com", NULL},
        {check_host, "xn--99999999.example.com", NULL},
        {check_host, "xn--fa-hia.example.com", NULL},
        {check_host, "example.com\t", NULL},
        {check_host, "example.com/", NULL},
        {check_host, "example.com:80", NULL},
        {check_host, "ex\xC3\xA4mple.com", NULL},
    };
    RUN_TEXT(cases);
}

static void test_url_paths(void **state)
{
    (void)state;
    static const struct text_case cases[] = {
        {check_url_path, "/", "/"},
        {check_url_path, "/repos/acme/", "/repos/acme/"},
        {check_url_path, "/a/b.c/~d/e-f_g", "/a/b.c/~d/e-f_g"},
        {check_url_path, "/@scope/pkg", "/@scope/pkg"},
        {check_url_path, "/a%20b", "/a%20b"},
        {check_url_path, "/a:b,c=d&e+f!$'()*", "/a:b,c=d&e+f!$'()*"},
        {check_url_path, "/%C3%A9", NULL},
        {check_url_path, "/...", "/..."},
        {check_url_path, "/.hidden", "/.hidden"},
        {check_url_path, "/..", NULL},
        {check_url_path, "/.", NULL},
        {check_url_path, "/a/..", NULL},
        {check_url_path, "//", NULL},
        {check_url_path, "//a", NULL},
        {check_url_path, "/a//", NULL},
        {check_url_path, "/%2E%2E", NULL},
        {check_url_path, "/%2f", NULL},
        {check_url_path, "/%3f", NULL},
        {check_url_path, "/%0a", NULL},
        {check_url_path, "/%7f", NULL},
        {check_url_path, "/%", NULL},
        {check_url_path, "/%1", NULL},
        {check_url_path, "/%-1", NULL},
        {check_url_path, "https://a/", NULL},
        {check_url_path, "/a\x7f", NULL},
    };
    RUN_TEXT(cases);
}

static void test_methods_and_headers(void **state)
{
    (void)state;
    static const struct text_case cases[] = {
        {check_method, "GET", "GET"},
        {check_method, "patch", "PATCH"},
        {check_method, "M-SEARCH", "M-SEARCH"},
        {check_method, "Connect", NULL},
        {check_method, "G\xC3\x89T", NULL},
        {check_method, "GET\r\n", NULL},
        {check_header_name, "X-Api-Version", "x-api-version"},
        {check_header_name, "x:y", NULL},
        {check_header_name, "HOST", NULL},
        {check_header_name, "", NULL},
        {check_header_value, "application/json; q=1", "application/json; q=1"},
        {check_header_value, "a\r\nb", NULL},
        {check_header_value, "", NULL},
        {check_header_value, "a ", NULL},
    };
    RUN_TEXT(cases);
}

static void test_cidrs(void **state)
{
    (void)state;
    static const struct text_case cases[] = {
        {check_cidr, "10.1.2.3", "10.1.2.3/32"},
        {check_cidr, "10.0.0.0/8", "10.0.0.0/8"},
        {check_cidr, "128.0.0.0/1", "128.0.0.0/1"},
        {check_cidr, "255.255.255.255/32", "255.255.255.255/32"},
        {check_cidr, "2001:DB8::1", "2001:db8::1/128"},
        {check_cidr, "2001:0db8:0000:0000:0000:0000:0000:0001/128", "2001:db8::1/128"},
        {check_cidr, "2001:db8::/32", "2001:db8::/32"},
        {check_cidr, "fc00::/7", "fc00::/7"},
        {check_cidr, "8000::/1", "8000::/1"},
        {check_cidr, "::1", "::1/128"},
        {check_cidr, "fd00:0:0:1::/64", "fd00:0:0:1::/64"},
        {check_cidr, "10.1.2.3/", NULL},
        {check_cidr, "10.1.2.3/+8", NULL},
        {check_cidr, " 10.1.2.3", NULL},
        {check_cidr, "10.1.2.3/24/24", NULL},
        {check_cidr, "fd00::/7", NULL},
        {check_cidr, "fe80::1%1", NULL},
        {check_cidr, "[::1]", NULL},
        {check_cidr, "", NULL},
    };
    RUN_TEXT(cases);
}

static void test_paths(void **state)
{
    (void)state;
    static const struct text_case cases[] = {
        {check_path, "/work", "/work"},
        {check_path, "/a b/\xC3\xA9", "/a b/\xC3\xA9"},
        {check_path, "/...", "/..."},
        {check_path, "/a\nb", NULL},
        {check_path, "", NULL},
        {check_mount_source, "/srv/agents/gitea", "/srv/agents/gitea"},
        {check_mount_source, "/home/ada/src", "/home/ada/src"},
        {check_mount_source, "/root/agents/one", "/root/agents/one"},
        {check_mount_source, "/tmp/agents", "/tmp/agents"},
        {check_mount_source, "/usr/share/dict", "/usr/share/dict"},
        {check_mount_source, "/opt/models", "/opt/models"},
        {check_mount_source, "/srv/sock", "/srv/sock"},
        {check_mount_source, "/srv/x.sockets", "/srv/x.sockets"},
        {check_mount_source, "/srv/.sshfs", "/srv/.sshfs"},
        {check_mount_source, "/home", NULL},
        {check_mount_source, "/home/ada", NULL},
        {check_mount_source, "/home/ada/.ssh", NULL},
        {check_mount_source, "/home/ada/.docker/run", NULL},
        {check_mount_source, "/root", NULL},
        {check_mount_source, "/root/.aws", NULL},
        {check_mount_source, "/tmp", NULL},
        {check_mount_source, "/tmp/.X11-unix", NULL},
        {check_mount_source, "/var/tmp", NULL},
        {check_mount_source, "/usr", NULL},
        {check_mount_source, "/usr/local", NULL},
        {check_mount_source, "/usr/local/bin", NULL},
        {check_mount_source, "/bin", NULL},
        {check_mount_source, "/lib64/x", NULL},
        {check_mount_source, "/boot/efi", NULL},
        {check_mount_source, "/var/lib", NULL},
        {check_mount_source, "/var/lib/containers/storage", NULL},
        {check_mount_source, "/var/lib/kubelet", NULL},
        {check_mount_source, "/var/spool", NULL},
        {check_mount_source, "/srv/../etc", NULL},
        {check_mount_source, "/srv/./x", NULL},
        {check_mount_source, "//etc", NULL},
        {check_mount_source, "/srv/x/", NULL},
        {check_mount_source, "/srv/a.sock/b", NULL},
        {check_mount_source, "/srv/run/agent.sock", NULL},
        {check_mount_source, "/etcetera", "/etcetera"},
        {check_mount_source, "/runner", "/runner"},
        {check_mount_source, "/var/lib/dockerish", "/var/lib/dockerish"},
        {check_mount_source, "/var", NULL},
        {check_mount_source, "/run/user/1000", NULL},
        {check_mount_source, "/var/run", NULL},
        {check_mount_source, "/srv/docker.sock/x", NULL},
        {check_mount_source, "/srv/podman.sock", NULL},
        {check_mount_target, "/etc/app", "/etc/app"},
        {check_mount_target, "/etc/bottlers", "/etc/bottlers"},
        {check_mount_target, "/process", "/process"},
        {check_mount_target, "/proc", NULL},
        {check_file_path, "/etc/app.conf", "/etc/app.conf"},
        {check_file_path, "/etc/bottler", NULL},
        {check_file_path, "/dev/null", NULL},
    };
    RUN_TEXT(cases);
    assert_true(path_is_within("/a/b", "/a"));
    assert_true(path_is_within("/a", "/a"));
    assert_true(path_is_within("/a", "/"));
    assert_false(path_is_within("/ab", "/a"));
    assert_false(path_is_within("/a", "/a/b"));
}

static void test_git(void **state)
{
    (void)state;
#define ED25519 "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    static const struct text_case cases[] = {
        {check_ssh_url, "ssh://git@git.example.com:2222/acme/site.git",
         "ssh://git@git.example.com:2222/acme/site.git"},
        {check_ssh_url, "ssh://git.example.com/~ada/x", "ssh://git.example.com/~ada/x"},
        {check_ssh_url, "ssh://git@192.0.2.7/x.git", "ssh://git@192.0.2.7/x.git"},
        {check_ssh_url, "ssh://git@git.example.com/", NULL},
        {check_ssh_url, "ssh://git@git.example.com/a/", NULL},
        {check_ssh_url, "ssh://git@git.example.com/a//b", NULL},
        {check_ssh_url, "ssh://git@git.example.com/../b", NULL},
        {check_ssh_url, "ssh://-oProxyCommand=x@git.example.com/b", NULL},
        {check_ssh_url, "ssh://@git.example.com/b", NULL},
        {check_ssh_url, "ssh:///b", NULL},
        {check_ssh_url, "ssh://git@git.example.com:22x/b", NULL},
        {check_ssh_url, "ssh://git@git.example.com/a'b", NULL},
        {check_ssh_url, "ssh://git@git.example.com/a\nb", NULL},
        {check_ssh_url, "SSH://git@git.example.com/b", NULL},
        {check_host_key, "ssh-ed25519 " ED25519, "ssh-ed25519 " ED25519},
        {check_host_key, "ssh-ed25519   " ED25519 " root@host", "ssh-ed25519 " ED25519},
        {check_host_key, "ssh-ed25519", NULL},
        {check_host_key, "ssh-ed25519 ", NULL},
        {check_host_key, "ssh-ed25519 " ED25519 "=", NULL},
        {check_host_key, "ssh-ed25519 " ED25519 "\nssh-rsa x", NULL},
        {check_host_key, "ecdsa-sha2-nistp256 " ED25519, NULL},
        {check_host_key, "ssh-ed25519 ====", NULL},
        {check_host_key, "", NULL},
    };
    RUN_TEXT(cases);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        check_number_fn *check;
        const char *text;
        int64_t value; /* -1: refused */
    } cases[] = {
        {check_duration, "1m", 60},
        {check_duration, "60m", 3600},
        {check_duration, "4h", 14400},
        {check_duration, "30d", 2592000},
        {check_duration, "720h", 2592000},
        {check_duration, "721h", -1},
        {check_duration, "0m", -1},
        {check_duration, "1h30m", -1},
        {check_duration, "4H", -1},
        {check_duration, "4", -1},
        {check_duration, "4 h", -1},
        {check_duration, "-4h", -1},
        {check_duration, "h", -1},
        {check_duration, "", -1},
        {check_duration, "153722867280912931m", -1},
        {check_memory, "6Mi", INT64_C(6) << 20},
        {check_memory, "2Gi", INT64_C(2) << 30},
        {check_memory, "16Ti", INT64_C(16) << 40},
        {check_memory, "500M", 500000000},
        {check_memory, "10000k", 10000000},
        {check_memory, "1G", 1000000000},
        {check_memory, "1073741824", 1073741824},
        {check_memory, "17Ti", -1},
        {check_memory, "5Mi", -1},
        {check_memory, "1gi", -1},
        {check_memory, "1 Gi", -1},
        {check_memory, "1.5Gi", -1},
        {check_memory, "Gi", -1},
        {check_memory, "9223372036854775807Ti", -1},
        {check_cpus, "1.5", 1500000000},
        {check_cpus, "0.01", 10000000},
        {check_cpus, "0.010000001", 10000001},
        {check_cpus, "1024", INT64_C(1024000000000)},
        {check_cpus, "1024.1", -1},
        {check_cpus, "0.009", -1},
        {check_cpus, "1.", -1},
        {check_cpus, ".5", -1},
        {check_cpus, "01", -1},
        {check_cpus, "9223372036854775807", -1},
        {check_mode, "0644", 0644},
        {check_mode, "0000", 0},
        {check_mode, "0777", 0777},
        {check_mode, "1777", -1},
        {check_mode, "06440", -1},
        {check_mode, "u+rw", -1},
        {check_time, "1970-01-01T00:00:00Z", 0},
        {check_time, "2026-12-01T00:00:00Z", 1796083200},
        {check_time, "2024-02-29T23:59:59Z", 1709251199},
        {check_time, "2023-02-29T00:00:00Z", -1},
        {check_time, "2026-00-01T00:00:00Z", -1},
        {check_time, "2026-13-01T00:00:00Z", -1},
        {check_time, "2026-01-00T00:00:00Z", -1},
        {check_time, "2026-01-01T24:00:00Z", -1},
        {check_time, "2026-01-01T00:00:60Z", -1},
        {check_time, "2026-01-01 00:00:00Z", -1},
        {check_time, "2026-01-01T00:00:00z", -1},
        {check_time, "1969-12-31T23:59:59Z", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str why;
        int64_t value = -1;
        str_init(&why, CHECK_WHY_MAX);
        bool ok = cases[i].check(cases[i].text, &why, &value);
        if (value != cases[i].value || ok != (cases[i].value >= 0) || ok == (why.len > 0))
            fail_msg("'%s': %lld, '%s'", cases[i].text, (long long)value, why.p);
        str_done(&why);
    }
}

static void test_env_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *value;
        const char *secret;
    } cases[] = {
        {"", "", NULL},           {"plain", "plain", NULL},           {"$NAME", "$NAME", NULL},
        {"a$", "a$", NULL},       {"two\nlines", "two\nlines", NULL}, {"${NAME}", NULL, "NAME"},
        {"${_n1}", NULL, "_n1"},  {"x${NAME}", NULL, NULL},           {"${NAME} ", NULL, NULL},
        {"${A}${B}", NULL, NULL}, {"${NAME:-x}", NULL, NULL},         {"${", NULL, NULL},
        {"${}", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str why;
        AUTO_FREE char *value = NULL;
        AUTO_FREE char *secret = NULL;
        str_init(&why, CHECK_WHY_MAX);
        bool ok = check_env_value(cases[i].text, &why, &value, &secret);
        assert_int_equal(ok, cases[i].value || cases[i].secret);
        assert_int_equal(value != NULL, cases[i].value != NULL);
        assert_int_equal(secret != NULL, cases[i].secret != NULL);
        if (value)
            assert_string_equal(value, cases[i].value);
        if (secret)
            assert_string_equal(secret, cases[i].secret);
        str_done(&why);
    }
}

/* Messages go to logs: what may be a pasted secret isn't in them. */
static void test_secrets_are_not_repeated(void **state)
{
    (void)state;
    static const char m[] =
        "apiVersion: bottler.dev/v1\nkind: Bottle\nmetadata: {name: x}\nspec:\n"
        "  agent:\n    image: a\n"
        "    env: {A: \"hunter2${X}\", B: 4444444}\n"
        "    files: [{path: /a, secret: \"hunter2 key\"}, {path: /b, secret: 4444444}]\n"
        "  egress:\n    routes:\n"
        "    - {host: a.example.com, auth: {scheme: token, token_ref: \"hunter2-pat\"}}\n"
        "  git-gate:\n    repos:\n      r: {url: \"ssh://u:hunter2@git.example.com/x\", host_key: "
        "x, "
        "identity: \"hunter2 key\"}\n";
    struct manifest_set *set = test_load("m", m, NULL);
    AUTO_FREE char *found = test_diags(set);
    assert_int_equal(set->bottles[0].diags.len, 8);
    assert_null(strstr(found, "hunter2"));
    assert_null(strstr(found, "4444444"));
    manifest_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_url_paths),
        cmocka_unit_test(test_methods_and_headers),
        cmocka_unit_test(test_cidrs),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_git),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_env_values),
        cmocka_unit_test(test_secrets_are_not_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
