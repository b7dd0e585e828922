/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session says about its repositories, from all the shapes that people have written, as one list; and
 * what became of each.  Parsing is pure.  A main repository that cannot be used is an error of the session;
 * any other one only carries its error along.
 */
#ifndef AM_RUNNER_REPOS_H
#define AM_RUNNER_REPOS_H

#include "core/ambient-runner/giturl.h"

#define AM_REPOS_MAX 32

/* Whose REST API a host has. */
enum am_provider { AM_PROVIDER_NONE, AM_PROVIDER_GITHUB, AM_PROVIDER_GITLAB };

struct am_repo {
	int index;       /* in the session's list */
	int credentials; /* the number of the directory that they are mounted in; -1: none of its own */
	bool main;
	bool usable;        /* false: error says why */
	char name[65];      /* its folder; unique */
	bool workflow;      /* not to be worked on, but to work by: see workflow.h */
	char *url, *branch; /* branch NULL: the remote's default */
	char *push_url;     /* where to; never NULL when usable */
	char *push_branch;
	bool push; /* was it asked for */
	bool proceed; /* work goes on where push_branch is */
	bool ensure;  /* and it is made where it is not */
	bool create_pr;
	char *pr_base;              /* the branch that a pull request is to go into; NULL: the default one */
	enum am_provider provider;  /* of the host of url, where the project says it */
	struct am_giturl where, push_where;
	/* What became of it. */
	bool fresh; /* cloned beside what is there, not yet in its place */
	bool cloned;
	bool there; /* push_branch was there already, and was cloned */
	int64_t cloned_at; /* wall time */
	char *default_branch; /* the remote's; NULL: not known */
	char base[65], commit[65];
	int64_t added, removed, commits;
	const char *status; /* static: pushed, abandoned, nochanges, error; NULL while unknown */
	bool rescued; /* push_branch is that of a rescue */
	char error[320];
	char pr_url[2049]; /* empty: none */
	int64_t updated_at; /* wall time: when status and request became what they are; 0: there are none */
	const char *told;   /* the status at that time */
	bool told_pr;
};

struct am_repos {
	struct am_repo *v;
	size_t n;
	size_t main; /* index into v; 0 when there are none */
};

/* session: the whole object, checked JSON. */
int am_runner_repos_parse(struct am_slice session, const char *session_name, struct am_repos *ret,
			  struct ambient_error *err);
void am_runner_repos_fini(struct am_repos *repos);
/* The session's, else what the shape that it is written in means (DESIGN 8). */
bool am_runner_session_interactive(struct am_slice session);
/* The same for the run: does it go on after the first turn? */
bool am_runner_session_chat(struct am_slice session);
/* malloc'ed; NULL: none. */
char *am_runner_session_prompt(struct am_slice session);
int64_t am_runner_session_timeout(struct am_slice session); /* seconds, 0: none */
int64_t am_runner_session_idle(struct am_slice session);    /* the same, of a chat in which nothing is said */

#endif
