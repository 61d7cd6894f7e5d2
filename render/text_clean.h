/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of strangers, fit to be shown to people. */
#ifndef BOTTLER_RENDER_TEXT_CLEAN_H
#define BOTTLER_RENDER_TEXT_CLEAN_H

#include "spec/base/str.h"

/* At most `max` bytes of a text, in valid UTF-8 whatever came in: control characters, invisible
 * ones and those that change the direction of writing are shown as escapes. The caller frees. */
char *text_clean(struct sv text, size_t max);

#endif
