/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an edit of a manifest changes, and what that costs: the field table's classes put to two
 * texts. Pure; the same texts always give the same list.
 */
#ifndef BOTTLER_SPEC_CHANGE_H
#define BOTTLER_SPEC_CHANGE_H

#include "spec/defaults.h"

struct change {
    char *field;    /* "spec.egress.routes[api.example.com].methods", "spec.agent.env.LOG_LEVEL" */
    char *old_text; /* as one short line; NULL: it wasn't there. A secret's reference, never its */
    char *new_text; /* value (no manifest has that); NULL: it isn't there any more */
    enum change_class change; /* never CHANGE_UNSET */
    bool loses_state;
    const char *loses;  /* what is gone afterwards, static; NULL when nothing is */
    const char *reason; /* why that class, static */
};
struct change_list {
    struct change *items;
    size_t len;
};

/* Compares two canonical texts (struct bottle.text). Defaults are filled in on both sides, values
 * are compared in their normal form: another spelling is no change. Items of lists are told apart
 * by the table's `identity`, else by their place; a list of words is one value, whose order counts
 * only where it is rendered in that order (FIELD_ORDERED). What the table doesn't know, and a text
 * that can't be read, has the worst class. `ret` is overwritten: the dearest first, then by path.
 * Free with change_list_done(). */
void changes_find(const char *old_text, const char *new_text, struct change_list *ret);
/* The same for a bottle that was accepted with other defaults (NULL: today's). */
void changes_find_with(const char *old_text, const char *new_text, const struct defaults *defaults,
                       struct change_list *ret);
/* CHANGE_NONE for an empty list. */
enum change_class changes_worst(const struct change_list *l);
void change_list_done(struct change_list *l);

#endif
