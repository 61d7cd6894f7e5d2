/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/base/xalloc.h"
#include "spec/check.h"
#include "spec/diag.h"
#include "spec/manifest.h"

#include <string.h>

static const char *const claude_code[] = {
    "api.anthropic.com",
    "statsig.anthropic.com",
    "sentry.io",
    "claude.ai",
    "platform.claude.com",
    "downloads.claude.ai",
    "raw.githubusercontent.com",
    NULL,
};

static const struct {
    const char *name;
    const char *const *hosts;
} presets[] = {
    {"claude-code", claude_code},
};

const char *const *preset_hosts(const char *name)
{
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
        if (strcmp(presets[i].name, name) == 0)
            return presets[i].hosts;
    }
    return NULL;
}

bool check_preset(const char *text, struct str *why, char **ret)
{
    if (preset_hosts(text)) {
        *ret = xstrdup(text);
        return true;
    }
    AUTO_FREE char *q = diag_quote(text);
    str_addf(why, "there is no preset %s; known:", q);
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
        str_addf(why, "%s %s", i ? "," : "", presets[i].name);
    return false;
}
