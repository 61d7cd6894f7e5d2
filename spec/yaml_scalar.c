/* SPDX-License-Identifier: Apache-2.0 */
/* What an unquoted scalar is, by the YAML 1.2 core schema. */
#include "spec/yaml.h"

#include "spec/base/num.h"
#include "spec/base/xalloc.h"

#include <string.h>

static bool one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(text, *words) == 0)
            return true;
    }
    return false;
}

static size_t count_digits(const char *p)
{
    return strspn(p, "0123456789");
}

static bool is_decimal_int(const char *p)
{
    p += *p == '-' || *p == '+';
    size_t n = count_digits(p);
    return n > 0 && p[n] == '\0';
}

static bool is_float(const char *p)
{
    static const char *const infs[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const nans[] = {".nan", ".NaN", ".NAN", NULL};
    if (one_of(p, nans))
        return true;
    p += *p == '-' || *p == '+';
    if (one_of(p, infs))
        return true;
    size_t whole = count_digits(p);
    p += whole;
    size_t fraction = 0;
    if (*p == '.') {
        p++;
        fraction = count_digits(p);
        p += fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        size_t n = count_digits(p);
        if (n == 0)
            return false;
        p += n;
    }
    return *p == '\0';
}

/* The value of what is_decimal_int() accepted; false when it is out of range. */
static bool decimal_value(const char *p, int64_t *ret)
{
    bool negative = *p == '-';
    p += *p == '-' || *p == '+';
    while (p[0] == '0' && p[1] != '\0')
        p++;
    AUTO_FREE char *digits = xasprintf("%s%s", negative && strcmp(p, "0") != 0 ? "-" : "", p);
    return num_parse(sv_of(digits), INT64_MIN, INT64_MAX, ret);
}

static bool based_value(const char *text, struct yaml_node *n)
{
    unsigned base = strncmp(text, "0x", 2) == 0 ? 16 : strncmp(text, "0o", 2) == 0 ? 8 : 0;
    if (!base || text[2] == '\0')
        return false;
    const char *set = base == 16 ? "0123456789abcdefABCDEF" : "01234567";
    if (text[2 + strspn(text + 2, set)] != '\0')
        return false;
    bool fits = num_parse_base(sv_of(text + 2), base, INT64_MAX, &n->integer);
    n->kind = fits ? YAML_INT : YAML_FLOAT;
    return true;
}

void yaml_resolve_plain(struct yaml_node *n)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    const char *t = n->text;
    n->kind = YAML_STRING;
    if (one_of(t, nulls)) {
        n->kind = YAML_NULL;
    } else if (one_of(t, trues) || one_of(t, falses)) {
        n->kind = YAML_BOOL;
        n->boolean = one_of(t, trues);
    } else if (is_decimal_int(t)) {
        n->kind = decimal_value(t, &n->integer) ? YAML_INT : YAML_FLOAT;
    } else if (!based_value(t, n) && is_float(t)) {
        n->kind = YAML_FLOAT;
    }
}

const char *yaml_kind_name(enum yaml_kind kind)
{
    switch (kind) {
    case YAML_BAD:
        return "something refused";
    case YAML_NULL:
        return "nothing (null)";
    case YAML_BOOL:
        return "a boolean";
    case YAML_INT:
    case YAML_FLOAT:
        return "a number";
    case YAML_STRING:
        return "a string";
    case YAML_SEQ:
        return "a list";
    case YAML_MAP:
        return "a map";
    }
    return "something else";
}

char *yaml_describe(const struct yaml_node *n)
{
    const char *name = yaml_kind_name(n->kind);
    bool has_text = n->kind == YAML_BOOL || n->kind == YAML_INT || n->kind == YAML_FLOAT ||
                    n->kind == YAML_STRING;
    if (!has_text)
        return xstrdup(name);
    AUTO_FREE char *q = diag_quote(n->text);
    return xasprintf("the %s %s", name + 2, q);
}
