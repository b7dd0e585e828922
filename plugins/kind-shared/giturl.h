/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses and branches of repositories are taken.  What is refused here the runner refuses too, and so do the rules
 * of etc/crds, at apply; tests/lib/git_words.txt holds all three to the same answers.
 */
#ifndef KIND_SHARED_GITURL_H
#define KIND_SHARED_GITURL_H

/* NULL when it may be cloned from, else what is wrong with it, to be said behind the field's name. */
const char *kg_url_problem(const char *url);
const char *kg_branch_problem(const char *branch);

#endif
