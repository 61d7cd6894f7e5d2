/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/watch.h"

#include "controller/tree.h"
#include "spec/base/xalloc.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

enum {
    SYMLINKS_MAX = 40, /* as the kernel */
    READS_PER_TURN = 16,
    US_PER_MS = 1000,
};

/* Directories of manifests: anything that may change what a listing would say. */
#define TREE_MASK                                                                                  \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB |            \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
/* Directories on the way: only the one name that leads on. */
#define PATH_MASK                                                                                  \
    (IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF |         \
     IN_ONLYDIR)
#define SELF_EVENTS (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)

/* One watched directory, which can be both on the way to a root and below another. */
struct spot {
    int wd;
    bool tree;
    bool current;          /* seen by the walk that is going on */
    struct str_list names; /* on the way: what leads on */
};

struct watch {
    struct str_list dirs;
    watch_fn *changed;
    void *ctx;
    uint64_t settle_us, settle_max_us, relist_us;
    int fd;
    struct spot *spots;
    size_t spots_len;
    bool stale;             /* the set of directories may have changed */
    uint64_t first_hint_us; /* 0: none since the last call */
    uint64_t due_us;        /* when the hints since then have settled */
    struct watch_counters count;
    uint64_t digest;
    bool listed;           /* there is a digest */
    bool by_relist;        /* the call that is going on comes from the relist */
    uint64_t hints_before; /* it */
    char *problem;
    sd_event *loop;
    sd_event_source *io;
    sd_event_source *settle;
    sd_event_source *relist;
};

/* ---- the set of watched directories --------------------------------------------------------- */

static void set_problem(struct watch *w, const char *what, const char *why)
{
    if (w->problem) /* the first is enough */
        return;
    AUTO_FREE char *shown = files_text(what);
    w->problem = xasprintf("'%s' can't be watched: %s", shown, why);
}

static struct spot *find_spot(struct watch *w, int wd)
{
    for (size_t i = 0; i < w->spots_len; i++)
        if (w->spots[i].wd == wd)
            return &w->spots[i];
    return NULL;
}

/* Watches what an open descriptor stands for. The mask only grows while the spot lives: replacing
 * it would lose events when a directory has two roles. */
static struct spot *add_spot(struct watch *w, int fd, uint32_t mask)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int wd = inotify_add_watch(w->fd, path, mask | IN_MASK_ADD);
    if (wd < 0)
        return NULL;
    struct spot *s = find_spot(w, wd);
    if (!s) {
        w->spots = xreallocarray(w->spots, w->spots_len + 1, sizeof(*w->spots));
        s = &w->spots[w->spots_len++];
        *s = (struct spot){.wd = wd};
    }
    if (!s->current) {
        str_list_done(&s->names);
        s->tree = false;
        s->current = true;
    }
    return s;
}

static const char *watch_errno(int errnum)
{
    return errnum == ENOSPC ? "fs.inotify.max_user_watches is used up" : err_errno(errnum);
}

static struct err *watch_dir(void *ctx, int fd, const char *path)
{
    struct watch *w = ctx;
    struct spot *s = add_spot(w, fd, TREE_MASK);
    if (s)
        s->tree = true;
    else
        set_problem(w, path, watch_errno(errno));
    return NULL;
}

static struct err *cant_watch(void *ctx, const char *path, const char *why)
{
    set_problem(ctx, path, why);
    return NULL;
}

/* What is left of a path that is being resolved by hand. */
struct path_rest {
    struct str text;
    unsigned links;
};

static void rest_done(struct path_rest *rest)
{
    str_done(&rest->text);
}

/* Puts a symlink's target before what is left. */
static bool push_target(struct path_rest *rest, const char *target)
{
    AUTO_FREE char *old = xstrdup(rest->text.p);
    str_clear(&rest->text);
    str_addf(&rest->text, "%s/%s", target, old);
    return !str_failed(&rest->text) && ++rest->links <= SYMLINKS_MAX;
}

/* Cuts the first name off; false at the end. */
static bool next_name(struct path_rest *rest, char ret[NAME_MAX + 1])
{
    const char *p = rest->text.p;
    while (*p == '/')
        p++;
    size_t n = strcspn(p, "/");
    if (n == 0 || n > NAME_MAX)
        return false;
    memcpy(ret, p, n);
    ret[n] = '\0';
    AUTO_FREE char *after = xstrdup(p + n);
    str_clear(&rest->text);
    str_add(&rest->text, after);
    return true;
}

/* Watches every directory on the way to `root`, for the name that leads on; stops where the way
 * ends. Each directory is watched before its name is looked up, so a change in between is an event.
 */
static void watch_way(struct watch *w, const char *root)
{
    AUTO(rest_done) struct path_rest rest = {0};
    str_init(&rest.text, PATH_MAX);
    str_add(&rest.text, root);
    AUTO_CLOSE at = open(root[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char name[NAME_MAX + 1];
    while (at >= 0 && next_name(&rest, name)) {
        struct spot *s = add_spot(w, at, PATH_MASK);
        if (s && !str_list_has(&s->names, name))
            str_list_add(&s->names, name);
        AUTO_CLOSE next = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        if (next < 0 || fstat(next, &st) < 0)
            return;
        if (S_ISLNK(st.st_mode)) {
            char target[PATH_MAX];
            ssize_t n = readlinkat(next, "", target, sizeof(target) - 1);
            target[n > 0 ? n : 0] = '\0';
            if (n <= 0 || !push_target(&rest, target))
                return;
            if (target[0] != '/')
                continue;
            (void)close(TAKE_FD(next));
            next = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        }
        (void)close(at);
        at = TAKE_FD(next);
    }
}

static void drop_unseen(struct watch *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->spots_len; i++) {
        struct spot *s = &w->spots[i];
        if (s->current) {
            w->spots[kept++] = *s;
            continue;
        }
        /* Fails when the kernel dropped it first, which is as well. */
        (void)inotify_rm_watch(w->fd, s->wd);
        str_list_done(&s->names);
    }
    w->spots_len = kept;
}

static void rewatch(struct watch *w)
{
    static const struct tree_ops ops = {.dir = watch_dir, .unknown = cant_watch};
    w->stale = false;
    free(w->problem);
    w->problem = NULL;
    for (size_t i = 0; i < w->spots_len; i++)
        w->spots[i].current = false;
    for (size_t i = 0; i < w->dirs.len; i++) {
        watch_way(w, w->dirs.items[i]);
        struct err *e = tree_walk(w->dirs.items[i], &ops, w);
        if (e && err_kind(e) != ERR_CONFLICT && !w->problem)
            w->problem = files_text(err_message(e));
        /* What changed meanwhile has been watched before, so its event is on the way. */
        err_ignore(e, "kept as the problem");
    }
    drop_unseen(w);
}

/* ---- hints and timers ----------------------------------------------------------------------- */

static uint64_t now_us(const struct watch *w)
{
    uint64_t now = 0;
    (void)sd_event_now(w->loop, CLOCK_MONOTONIC, &now);
    return now;
}

/* A weak hint is a file that was just created: its writer will say when it is done, mostly. */
static void hint(struct watch *w, bool weak)
{
    uint64_t now = now_us(w);
    bool pending = w->first_hint_us != 0;
    w->count.hints++;
    if (!pending)
        w->first_hint_us = now;
    if (pending && weak)
        return;
    uint64_t last = w->first_hint_us + w->settle_max_us;
    uint64_t due = weak || now + w->settle_us > last ? last : now + w->settle_us;
    if (pending && due == w->due_us)
        return; /* setting the time again would undo that it is due: endless hints would starve the
                   call */
    w->due_us = due;
    (void)sd_event_source_set_time(w->settle, due);
    (void)sd_event_source_set_enabled(w->settle, SD_EVENT_ONESHOT);
}

void watch_poke(struct watch *w)
{
    w->stale = true;
    hint(w, false);
}

/* The last thing a dispatcher does: the callee may free the watch. */
static void look_again(struct watch *w)
{
    w->first_hint_us = 0;
    (void)sd_event_source_set_enabled(w->settle, SD_EVENT_OFF);
    (void)sd_event_source_set_time(w->relist, now_us(w) + w->relist_us);
    (void)sd_event_source_set_enabled(w->relist, SD_EVENT_ONESHOT);
    w->changed(w->ctx);
}

static int on_settled(sd_event_source *source, uint64_t usec, void *ctx)
{
    (void)source;
    (void)usec;
    struct watch *w = ctx;
    w->by_relist = false;
    if (w->stale)
        rewatch(w);
    look_again(w);
    return 0;
}

/* ---- events --------------------------------------------------------------------------------- */

static void on_event(struct watch *w, const struct inotify_event *e)
{
    if (e->mask & IN_Q_OVERFLOW) {
        w->count.overflows++;
        watch_poke(w);
        return;
    }
    const struct spot *s = find_spot(w, e->wd);
    if (!s) /* an echo of a watch that was taken away */
        return;
    if (e->mask & SELF_EVENTS) {
        watch_poke(w);
        return;
    }
    const char *name = e->len ? e->name : "";
    if (str_list_has(&s->names, name)) {
        watch_poke(w);
        return;
    }
    if (!s->tree)
        return;
    /* A name that came or went may be a directory's, or that of a symlink to one. */
    if (!(e->mask & IN_CLOSE_WRITE))
        w->stale = true;
    hint(w, (e->mask & IN_CREATE) && !(e->mask & IN_ISDIR));
}

static void drain(struct watch *w)
{
    union {
        struct inotify_event align;
        char bytes[16 * 1024];
    } buf;
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = read(w->fd, buf.bytes, sizeof(buf.bytes));
        if (n <= 0)
            break;
        for (size_t at = 0; at + sizeof(struct inotify_event) <= (size_t)n;) {
            struct inotify_event head;
            memcpy(&head, buf.bytes + at, sizeof(head));
            on_event(w,
                     __builtin_assume_aligned(buf.bytes + at, __alignof__(struct inotify_event)));
            at += sizeof(head) + head.len;
        }
    }
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *ctx)
{
    (void)source;
    (void)fd;
    (void)revents;
    drain(ctx);
    return 0;
}

/* Hints that wait to be read are read first: what they tell of isn't missed. */
static int on_relist(sd_event_source *source, uint64_t usec, void *ctx)
{
    (void)source;
    (void)usec;
    struct watch *w = ctx;
    drain(w);
    w->count.relists++;
    w->by_relist = w->first_hint_us == 0;
    w->hints_before = w->count.hints;
    rewatch(w);
    look_again(w);
    return 0;
}

void watch_listed(struct watch *w, uint64_t digest)
{
    bool other = w->listed && digest != w->digest;
    w->count.listings++;
    w->digest = digest;
    w->listed = true;
    if (w->by_relist && other) {
        drain(w); /* a change while it was listed */
        w->count.missed += w->count.hints == w->hints_before;
    }
    w->by_relist = false;
}

/* ---- life ----------------------------------------------------------------------------------- */

static uint64_t us_or(unsigned ms, unsigned otherwise_ms)
{
    return (uint64_t)(ms ? ms : otherwise_ms) * US_PER_MS;
}

static void set_times(struct watch *w, const struct watch_times *t)
{
    struct watch_times none = {0};
    if (!t)
        t = &none;
    w->settle_us = us_or(t->settle_ms, WATCH_SETTLE_MS);
    w->settle_max_us = us_or(t->settle_max_ms, WATCH_SETTLE_MAX_MS);
    w->relist_us = us_or(t->relist_ms, WATCH_RELIST_MS);
}

static int add_timer(struct watch *w, sd_event_source **ret, sd_event_time_handler_t fn)
{
    /* Accuracy of a millisecond: the default of 250 ms would swallow the settling. */
    int r = sd_event_add_time(w->loop, ret, CLOCK_MONOTONIC, 0, US_PER_MS, fn, w);
    if (r >= 0)
        r = sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
    return r;
}

static int add_sources(struct watch *w)
{
    int r = sd_event_add_io(w->loop, &w->io, w->fd, EPOLLIN, on_readable, w);
    if (r >= 0)
        r = add_timer(w, &w->settle, on_settled);
    if (r >= 0)
        r = add_timer(w, &w->relist, on_relist);
    return r;
}

static void watch_freep(struct watch **w)
{
    *w = watch_free(*w);
}

struct err *watch_new(sd_event *loop, const struct str_list *dirs, const struct watch_times *times,
                      watch_fn *changed, void *ctx, struct watch **ret)
{
    if (dirs->len == 0)
        return err_new(ERR_INVALID, "expected at least one directory to watch");
    AUTO(watch_freep) struct watch *w = xcalloc(1, sizeof(*w));
    w->fd = -1;
    w->changed = changed;
    w->ctx = ctx;
    w->loop = sd_event_ref(loop);
    set_times(w, times);
    for (size_t i = 0; i < dirs->len; i++) {
        if (!*dirs->items[i])
            return err_new(ERR_INVALID, "expected a directory to watch, got ''");
        str_list_add(&w->dirs, dirs->items[i]);
    }
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0)
        return err_new(ERR_UNAVAILABLE, "inotify can't be had: %s%s", err_errno(errno),
                       errno == EMFILE ? " (fs.inotify.max_user_instances)" : "");
    int r = add_sources(w);
    if (r < 0)
        return err_new(ERR_INTERNAL, "watching directories: %s", err_errno(-r));
    rewatch(w);
    /* The first look, as soon as the loop turns. */
    w->first_hint_us = now_us(w);
    (void)sd_event_source_set_time(w->settle, 0);
    (void)sd_event_source_set_enabled(w->settle, SD_EVENT_ONESHOT);
    *ret = TAKE_PTR(w);
    return NULL;
}

struct watch *watch_free(struct watch *w)
{
    if (!w)
        return NULL;
    sd_event_source_disable_unref(w->io);
    sd_event_source_disable_unref(w->settle);
    sd_event_source_disable_unref(w->relist);
    sd_event_unref(w->loop);
    if (w->fd >= 0)
        (void)close(w->fd);
    for (size_t i = 0; i < w->spots_len; i++)
        str_list_done(&w->spots[i].names);
    free(w->spots);
    str_list_done(&w->dirs);
    free(w->problem);
    free(w);
    return NULL;
}

const char *watch_problem(const struct watch *w)
{
    return w->problem;
}

const struct watch_counters *watch_counters(const struct watch *w)
{
    return &w->count;
}
