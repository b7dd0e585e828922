/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the reflector: reflector.c is its life, its requests and its patience, reflector_list.c brings a whole
 * collection, reflector_watch.c follows what happens to it.  Everything here runs on the I/O thread.
 */
#ifndef AM_CACHE_REFLECTOR_PRIV_H
#define AM_CACHE_REFLECTOR_PRIV_H

#include "core/base/buf.h"
#include "core/base/map.h"
#include "core/cache/cache_priv.h"
#include "core/data/scan.h"
#include "core/kube/kube.h"

#define VALUE_MAX (4 * 1024 * 1024) /* one object; an API server takes requests of at most 3 MiB */

#define AM_PARTIAL_KIND "PartialObjectMetadata"

struct backoff {
	int step;
	int64_t last;
};

/* What to do when the transfer that runs has ended. */
enum verdict { V_NONE, V_LIST, V_LIST_NOW, V_WATCH_LATER };

struct am_reflector {
	struct am_io *io;
	struct am_store *store;
	struct am_reflector_options opt;   /* its strings are copies */
	struct am_reflector_status status;
	struct am_projection *projection;  /* of opt.only; NULL: all */
	bool metadata_only;                /* not even asked for the rest, unless the API server insists on it */
	bool running;

	char *rv;                          /* the last one seen; "" at first */
	bool rv_unavailable;               /* ask for the most recent */
	bool paginated;                    /* the API server cuts lists at "0" in pages: it has no watch cache */
	bool synced;                       /* the first list is complete */
	bool bookmarks;                    /* this API server sends them */
	struct backoff list_backoff, watch_backoff;
	int64_t internal_first, internal_last;

	struct am_timer *timer;            /* backing off */
	struct am_timer *heal;             /* a list is due, because an event was lost; only while watching */
	struct am_transfer *transfer;
	struct am_framer *framer;          /* of the transfer, or of the last one */
	struct am_buf refusal;
	int http_status;                   /* 0: no head yet */
	int64_t retry_after;
	bool peeked;                       /* the first piece of the body was looked at */
	struct am_map *complained;         /* names of objects that were said to be unreadable */

	/* list */
	char *list_rv;                     /* that was asked for */
	char *next_page;                   /* continue token, NULL on the first page */
	bool in_full;                      /* without pages, because a token expired */
	struct am_object **page;           /* items that wait for the kind, which comes behind them */
	size_t page_len, page_cap;

	/* watch */
	int64_t watch_at;
	uint64_t watch_events;
	char *watch_rv;
	enum verdict verdict;

	/* a list that comes as the beginning of a watch */
	bool streaming;                    /* its end has not come yet */
	int cuts;                          /* how often it was cut, in a row */
	int64_t last_event;
	struct am_timer *marker;           /* looks whether the end will ever come */
	int64_t no_stream_until;           /* what this API server cannot do is not asked again before */
};

/* reflector.c */
int64_t am_reflector_now(const struct am_reflector *r);
void am_reflector_set_state(struct am_reflector *r, enum am_reflector_state state);
void am_reflector_set_rv(struct am_reflector *r, const char *rv);
void am_reflector_trouble(struct am_reflector *r, const char *doing, const char *text);
/* An object that cannot be read, or whose text is too long: said once for each name, counted.  text may be its beginning
 * only.  True: its name is known, and what the store has of it stays. */
bool am_reflector_skip(struct am_reflector *r, const char *text, size_t n, const char *why, struct am_salvage *ret);
void am_reflector_set_kind(struct am_reflector *r, struct am_slice kind);
/* Of a text as the API server sent it, what is to be stored.  checked: it is known to be JSON. */
int am_reflector_object(const struct am_reflector *r, struct am_slice text, bool checked, struct am_object **ret,
			struct ambient_error *err);
void am_reflector_sync_later(struct am_reflector *r, enum am_reflector_state state); /* the collection anew, after the backoff */
void am_reflector_watch_later(struct am_reflector *r, void (*begin)(void *));        /* after the other backoff */
void am_reflector_query(struct am_buf *path, const char *name, const char *value);
void am_reflector_request(struct am_reflector *r, struct am_buf *path);
void am_reflector_send(struct am_reflector *r, struct am_buf *path, enum am_frame_mode mode, am_frame_f *value,
		       am_frame_f *oversize, void (*done)(void *arg, const struct ambient_error *err), int64_t timeout,
		       int64_t idle);
void am_reflector_complete(struct am_reflector *r, const char *rv); /* the whole collection is in the store */
/* Did it refuse because it cannot answer with metadata alone?  Then it is asked for all, of which no more is kept. */
bool am_reflector_want_all(struct am_reflector *r);
void am_reflector_refused(struct am_reflector *r, int code, const struct status *status); /* says so, waits */

/* reflector_list.c */
void am_reflector_list(void *reflector);
void am_reflector_page_drop(struct am_reflector *r);

/* reflector_watch.c */
void am_reflector_watch(void *reflector);
void am_reflector_stream(void *reflector); /* list and watch in one */

#endif
