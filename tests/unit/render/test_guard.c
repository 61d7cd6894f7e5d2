/* SPDX-License-Identifier: Apache-2.0 */
#include "render/guard.h"
#include "tests/unit/render/fixture.h"

static void it_has_one_capability_and_no_more(void **state)
{
    (void)state;
    struct fixture f;
    fx_minimal(&f);
    struct desired *d = fx_render(&f);
    AUTO_FREE char *text = guard_body(d, "sha256:1");
    json_t *body = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    json_t *want = XNN(json_pack(
        "{s:s, s:[s], s:[s,s], s:s, s:{s:[s]}, s:{s:s, s:s, s:s, s:s, s:s},"
        " s:{s:s, s:s, s:[s], s:[s], s:[s], s:i, s:i, s:i, s:{s:s}}}",
        "Image", "sha256:1", "Entrypoint", "/bottler-guard", "Cmd", d->networks[NET_AGENT].bridge,
        d->networks[NET_CHAIN].bridge, "User", "0:0", "Healthcheck", "Test", "NONE", "Labels",
        LABEL_INSTALLATION, "inst-1", LABEL_BOTTLE, "demo", LABEL_ROLE, "guard", LABEL_UID, "uid-1",
        LABEL_SELF, "bottler.demo.guard", "HostConfig", "NetworkMode", "host", "UsernsMode", "host",
        "CapDrop", "ALL", "CapAdd", "NET_ADMIN", "SecurityOpt", "no-new-privileges", "Memory",
        32 << 20, "MemorySwap", 32 << 20, "PidsLimit", 8, "RestartPolicy", "Name", "no"));
    assert_true(json_equal(body, want));
    json_decref(body);
    json_decref(want);
    desired_free(d);
    fx_done(&f);
}

static void the_archive_holds_the_program(void **state)
{
    (void)state;
    char *tar = NULL;
    char *program = NULL;
    size_t n = 0;
    size_t size = 0;
    fx_ok(guard_archive(&tar, &n));
    fx_ok(tar_read_first((struct sv){tar, n}, 4 << 20, &program, &size));
    assert_string_equal(tar, "bottler-guard");
    assert_memory_equal(program, "\177ELF", 4);
    free(program);
    free(tar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_one_capability_and_no_more),
        cmocka_unit_test(the_archive_holds_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
