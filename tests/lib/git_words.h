/* SPDX-License-Identifier: Apache-2.0 */
/* Holds two functions to tests/lib/git_words.txt: whether an address, whether a branch is taken. */
#ifndef TESTS_LIB_GIT_WORDS_H
#define TESTS_LIB_GIT_WORDS_H

#include "core/data/node.h"
#include "tests/lib/unit.h"

static inline void
git_words(bool (*url)(const char *text), bool (*branch)(const char *text))
{
	const char *top = getenv("top_srcdir");
	char path[512], line[512], kind[16], sign, json[512];
	size_t rows = 0;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/tests/lib/git_words.txt", top != NULL ? top : ".");
	file = fopen(path, "re");
	ck_assert_msg(file != NULL, "%s", path);
	for (; fgets(line, sizeof(line), file) != NULL; rows++) {
		am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
		struct ambient_error err = AMBIENT_ERROR_INIT;
		struct am_node *word;

		if (line[0] == '#')
			continue;
		ck_assert_int_eq(sscanf(line, "%15s %c %511[^\n]", kind, &sign, json), 3);
		word = am_node_parse(arena, json, strlen(json), &err);
		ck_assert_msg(word != NULL, "%s: %s", json, err.message);
		ck_assert_msg((strcmp(kind, "url") == 0 ? url : branch)(am_node_text(word, "")) == (sign == '+'), "%s is %s", json,
			      sign == '+' ? "refused" : "taken");
	}
	(void)fclose(file);
	ck_assert_uint_gt(rows, 90);
}

#endif
