/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chat without a terminal: keys from bytes in any pieces, the editor, the rows at the lower end on a small terminal of
 * the test's own, and what is printed of messages and becomes of answers.
 */
#include "core/ambientctl/chat.h"
#include "core/base/mem.h"
#include "tests/lib/unit.h"

int32_t ctl_interrupted;

/* ---- keys */

static struct am_buf heard;

static void
hear(void *arg, enum ctl_key key, const char *text, size_t n)
{
	/* arg: bytes of any kind are fed; else each piece of text is whole characters. */
	ck_assert(arg != NULL || key != CTL_KEY_TEXT || am_utf8_valid(text, n));
	if (key == CTL_KEY_TEXT)
		am_buf_add(&heard, text, n);
	else
		am_buf_addf(&heard, "<%d>", (int)key);
}

/* The same in one piece, byte by byte, and cut at each place. */
static void
check_keys(const char *bytes, size_t n, const char *expected)
{
	for (size_t cut = 0; cut <= n + 1; cut++) {
		struct ctl_keys keys = { 0 };

		am_buf_reset(&heard);
		for (size_t i = 0; cut > n && i < n; i++)
			ctl_keys_feed(&keys, bytes + i, 1, hear, NULL);
		if (cut <= n) {
			ctl_keys_feed(&keys, bytes, cut, hear, NULL);
			ctl_keys_feed(&keys, bytes + cut, n - cut, hear, NULL);
		}
		ck_assert_msg(strcmp(am_buf_str(&heard), expected) == 0, "cut %zu of \"%s\": \"%s\", not \"%s\"", cut, bytes,
			      am_buf_str(&heard), expected);
	}
}

#define KEYS(bytes, expected) check_keys(bytes, sizeof(bytes) - 1, expected)

START_TEST(keys_come_from_bytes_in_any_pieces)
{
	char expected[64];

	KEYS("h\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80!", "h\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80!");
	(void)snprintf(expected, sizeof(expected), "a<%d>b<%d>", CTL_KEY_NEWLINE, CTL_KEY_ENTER);
	KEYS("a\033\rb\r", expected);
	(void)snprintf(expected, sizeof(expected), "<%d><%d><%d><%d>", CTL_KEY_UP, CTL_KEY_WORD_LEFT, CTL_KEY_DELETE, CTL_KEY_HOME);
	KEYS("\033[A\033[1;5D\033[3~\033OH", expected);
	(void)snprintf(expected, sizeof(expected), "<%d><%d>x", CTL_KEY_INTERRUPT, CTL_KEY_LEAVE);
	KEYS("\003\004\033[99;99Rx", expected); /* the last is swallowed */
	KEYS("\x1c\x1d", "");
}
END_TEST

START_TEST(a_paste_is_text_whole)
{
	char expected[64];

	/* Of an Escape within only what follows it is left. */
	(void)snprintf(expected, sizeof(expected), "a<%d>b<%d>\tc<%d><%d>[Ad\xc3\xa9<%d>", CTL_KEY_NEWLINE, CTL_KEY_NEWLINE,
		       CTL_KEY_NEWLINE, CTL_KEY_NEWLINE, CTL_KEY_ENTER);
	KEYS("\033[200~a\nb\r\n\tc\r\r\003\033[Ad\xc3\xa9\033[201~\r", expected);
}
END_TEST

START_TEST(random_bytes_are_never_control_characters)
{
	struct ctl_keys keys = { 0 };

	srand(7);
	for (int round = 0; round < unit_rounds(3000); round++) {
		char bytes[64];
		size_t n = (size_t)rand() % sizeof(bytes);

		for (size_t i = 0; i < n; i++)
			bytes[i] = rand() % 3 == 0 ? "\033[O~200;1\r\n\xc3\xe6"[rand() % 12] : (char)(rand() % 256);
		am_buf_reset(&heard);
		ctl_keys_feed(&keys, bytes, n, hear, &keys);
		for (size_t i = 0; i < heard.len; i++)
			ck_assert((unsigned char)heard.data[i] >= 0x20 || heard.data[i] == '\t');
		ck_assert_uint_le(keys.n, sizeof(keys.held));
	}
}
END_TEST

/* ---- the editor: keys by letters behind a backquote, the cursor is shown as "|" */

static struct ctl_edit edit;

static const struct {
	char letter;
	enum ctl_key key;
} letters[] = {
	{ 'e', CTL_KEY_ENTER }, { 'n', CTL_KEY_NEWLINE }, { 'l', CTL_KEY_LEFT }, { 'r', CTL_KEY_RIGHT }, { 'u', CTL_KEY_UP },
	{ 'd', CTL_KEY_DOWN }, { 'A', CTL_KEY_HOME }, { 'E', CTL_KEY_END }, { 'b', CTL_KEY_WORD_LEFT }, { 'f', CTL_KEY_WORD_RIGHT },
	{ 'h', CTL_KEY_BACKSPACE }, { 'x', CTL_KEY_DELETE }, { 'K', CTL_KEY_KILL_END }, { 'U', CTL_KEY_KILL_START },
	{ 'W', CTL_KEY_KILL_WORD }, { 'Y', CTL_KEY_YANK }, { 'P', CTL_KEY_OLDER }, { 'N', CTL_KEY_NEWER },
};

static bool
press(const char *keys)
{
	bool sent = false;

	for (; *keys != '\0'; keys++) {
		if (*keys != '`') {
			(void)ctl_edit_key(&edit, CTL_KEY_TEXT, keys, 1 + strspn(keys + 1, "\x80\xa4\xa9\x81\xbc\xa2\x9f\x98"));
			keys += strspn(keys + 1, "\x80\xa4\xa9\x81\xbc\xa2\x9f\x98");
			continue;
		}
		keys++;
		for (size_t i = 0; i < AM_COUNTOF(letters); i++)
			if (letters[i].letter == *keys)
				sent = ctl_edit_key(&edit, letters[i].key, NULL, 0);
	}
	return sent;
}

static const char *
shown(void)
{
	static char text[256];

	(void)snprintf(text, sizeof(text), "%.*s|%s", (int)edit.at, am_buf_str(&edit.text), am_buf_str(&edit.text) + edit.at);
	return text;
}

static void
check_edit(const char *keys, const char *expected)
{
	edit.columns = 40;
	ctl_edit_clear(&edit);
	(void)press(keys);
	ck_assert_str_eq(shown(), expected);
}

START_TEST(keys_edit_the_line)
{
	check_edit("one two`W", "one |");
	check_edit("one two`b`b`K`Y`Y", "one twoone two|");
	check_edit("one two`l`l`U", "|wo");
	check_edit("abc`A`x`rX", "bX|c");
	check_edit("abc`h`h", "a|");
	check_edit("`h`x`l`K`U`W", "|");
	check_edit("h\xc3\xa9\xe6\xbc\xa2`l`h", "h|\xe6\xbc\xa2");
	check_edit("ab`ncd`A`h", "ab|cd");
	check_edit("ab`ncd`uX", "abX|\ncd");
	check_edit("ab`nc`u`A`K`K", "|c");
	/* what combines goes with what it combines with */
	check_edit("xe\xcc\x81`l", "x|e\xcc\x81");
	check_edit("xe\xcc\x81`h", "x|");
}
END_TEST

START_TEST(enter_sends_unless_a_backslash_is_before_it)
{
	check_edit("one\\`etwo", "one\ntwo|");
	ctl_edit_clear(&edit);
	ck_assert(press("a\\b`e"));
	ck_assert(press("\\`l`e")); /* not at the end */
}
END_TEST

START_TEST(up_and_down_move_by_rows_and_then_through_history)
{
	char *taken;

	edit.columns = 4;
	ctl_edit_clear(&edit);
	(void)press("abcdefghij`u`u");
	ck_assert_str_eq(shown(), "ab|cdefghij");
	(void)press("`d`d`d");
	ck_assert_str_eq(shown(), "abcdefghij|");
	free(ctl_edit_take(&edit));
	edit.columns = 40;
	(void)press("second");
	taken = ctl_edit_take(&edit);
	ck_assert_str_eq(taken, "second");
	free(taken);
	(void)press("draft`u");
	ck_assert_str_eq(shown(), "second|");
	(void)press("`P");
	ck_assert_str_eq(shown(), "abcdefghij|");
	(void)press("`P`N`N`N");
	ck_assert_str_eq(shown(), "draft|");
}
END_TEST

START_TEST(what_is_typed_is_clean_and_bounded)
{
	am_auto(am_buf_fini) struct am_buf large = { 0 };

	ctl_edit_clear(&edit);
	(void)ctl_edit_key(&edit, CTL_KEY_TEXT, "a\x01\x1b[2J\x7f\xc2\x9b\xff\tb", 12);
	ck_assert_str_eq(am_buf_str(&edit.text), "a[2J\xef\xbf\xbd\tb");
	while (large.len < CTL_EDIT_MAX)
		am_buf_adds(&large, "0123456789abcdef");
	(void)ctl_edit_key(&edit, CTL_KEY_TEXT, large.data, large.len);
	ck_assert(edit.full && edit.text.len < 20);
}
END_TEST

/* ---- the screen, on a terminal of which only the part that is used is there */

#define TERM_ROWS 400
#define TERM_COLS 64

struct term {
	char cells[TERM_ROWS][TERM_COLS + 1];
	unsigned columns, row, column;
};

static unsigned
number(const char **p)
{
	char *end;
	unsigned long n = strtoul(*p, &end, 10);

	*p = end;
	return n > 0 ? (unsigned)n : 1;
}

static void
sequence(struct term *t, const char **p)
{
	unsigned n = number(p);

	if (**p == 'A') {
		ck_assert_uint_ge(t->row, n);
		t->row -= n;
	} else if (**p == 'C') {
		t->column += n;
	} else if (**p == 'K') {
		memset(t->cells[t->row] + t->column, 0, TERM_COLS - t->column);
	} else if (**p == 'J') {
		ck_assert_uint_gt(t->column, 0);
		memset(t->cells[t->row] + t->column, 0, TERM_COLS - t->column);
		for (unsigned r = t->row + 1; r < TERM_ROWS; r++)
			memset(t->cells[r], 0, TERM_COLS);
	} else {
		ck_abort_msg("sequence \"%s\" is not known", *p);
	}
}

static void
play(struct term *t, struct am_buf *out)
{
	for (const char *p = am_buf_str(out); *p != '\0'; p++) {
		if (*p == '\033') {
			p += 2;
			sequence(t, &p);
		} else if (*p == '\r') {
			t->column = 0;
		} else if (*p == '\n') {
			t->row++;
			t->column = 0;
		} else {
			if (t->column == t->columns) {
				t->row++;
				t->column = 0;
			}
			t->cells[t->row][t->column++] = *p;
		}
		ck_assert_uint_lt(t->row, TERM_ROWS);
	}
	am_buf_reset(out);
}

static void
check_same(const struct term *a, const struct term *b, int round)
{
	for (unsigned r = 0; r < TERM_ROWS; r++)
		ck_assert_msg(strcmp(a->cells[r], b->cells[r]) == 0, "round %d, row %u: \"%s\", not \"%s\"", round, r, a->cells[r],
			      b->cells[r]);
	ck_assert_uint_eq(a->row, b->row);
	ck_assert_uint_eq(a->column, b->column);
}

/* However it came to be: what stands there is the whole output, and the rows below drawn once. */
START_TEST(drawn_again_and_again_it_is_as_drawn_once)
{
	static struct term seen, fresh;
	struct ctl_area area = { .edit = &edit, .prompt = "> ", .status = "at rest", .dim = "", .reset = "" };

	srand(11);
	for (int round = 0; round < unit_rounds(300); round++) {
		struct ctl_screen screen = { .columns = 10 + (unsigned)rand() % 40, .lines = 1 + (unsigned)rand() % 20 }, once;
		am_auto(am_buf_fini) struct am_buf out = { 0 };
		am_auto(am_buf_fini) struct am_buf all = { 0 };

		memset(&seen, 0, sizeof(seen));
		memset(&fresh, 0, sizeof(fresh));
		seen.columns = fresh.columns = screen.columns;
		ctl_edit_clear(&edit);
		for (int step = 0; step < 30; step++) {
			char text[40];
			size_t n = (size_t)rand() % 30;

			for (size_t i = 0; i < n; i++)
				text[i] = rand() % 12 == 0 ? '\n' : (char)('a' + rand() % 26);
			edit.columns = ctl_screen_columns(&screen, area.prompt);
			if (rand() % 2 == 0)
				(void)ctl_edit_key(&edit, CTL_KEY_TEXT, text, n);
			else
				(void)ctl_edit_key(&edit, (enum ctl_key)(CTL_KEY_NEWLINE + rand() % 15), NULL, 0);
			if (rand() % 3 == 0) {
				ctl_screen_wipe(&screen, &out);
				ctl_screen_print(&screen, text, n, &out);
				am_buf_add(&all, text, n);
			}
			ctl_screen_draw(&screen, &area, &out);
			play(&seen, &out);
		}
		once = (struct ctl_screen){ .columns = screen.columns, .lines = screen.lines };
		ctl_screen_print(&once, am_buf_str(&all), all.len, &out);
		ctl_screen_draw(&once, &area, &out);
		play(&fresh, &out);
		check_same(&seen, &fresh, round);
		ctl_screen_fini(&screen);
		ctl_screen_fini(&once);
	}
}
END_TEST

START_TEST(long_input_shows_the_rows_around_the_cursor)
{
	static struct term seen;
	struct ctl_area area = { .edit = &edit, .prompt = "> ", .status = "s", .dim = "", .reset = "" };
	struct ctl_screen screen = { .columns = 20, .lines = 10 };
	am_auto(am_buf_fini) struct am_buf out = { 0 };

	memset(&seen, 0, sizeof(seen));
	seen.columns = 20;
	edit.columns = ctl_screen_columns(&screen, area.prompt);
	ctl_edit_clear(&edit);
	(void)press("1`n2`n3`n4`n5");
	ctl_screen_draw(&screen, &area, &out);
	play(&seen, &out);
	ck_assert_str_eq(seen.cells[0], "s");
	ck_assert_str_eq(seen.cells[1], "  3");
	ck_assert_str_eq(seen.cells[3], "  5");
	ck_assert_uint_eq(seen.row, 3);
	(void)press("`u`u`u`u");
	ctl_screen_draw(&screen, &area, &out);
	play(&seen, &out);
	ck_assert_str_eq(seen.cells[1], "> 1");
	ck_assert_str_eq(seen.cells[3], "  3");
	ck_assert_uint_eq(seen.row, 1);
	ck_assert_uint_eq(seen.column, 3);
}
END_TEST

/* ---- the conversation */

static struct ctl plain_ctl;
static struct ctl_talk talk;
static struct am_buf printed;

static void
tell(const char *fields)
{
	am_auto(am_freep) char *line = am_xasprintf("{\"seq\":1,%s}", fields);

	ctl_talk_message(&talk, line, strlen(line), &printed);
}

static void
check_printed(const char *expected)
{
	ck_assert_str_eq(am_buf_str(&printed), expected);
	am_buf_reset(&printed);
}

static void
fresh_talk(void)
{
	ctl_talk_fini(&talk);
	talk = (struct ctl_talk){ .ctl = &plain_ctl, .client = "ctl-me" };
	am_buf_reset(&printed);
}

START_TEST(a_text_that_streams_is_printed_once)
{
	fresh_talk();
	tell("\"type\":\"partial\",\"text\":\"Hel\",\"index\":0");
	tell("\"type\":\"partial\",\"text\":\"lo\",\"index\":0");
	ck_assert(talk.running);
	check_printed("Hello");
	tell("\"type\":\"text\",\"text\":\"Hello you\"");
	check_printed(" you\n");
	tell("\"type\":\"text\",\"text\":\"again\"");
	check_printed("again\n");
	tell("\"type\":\"partial\",\"text\":\"all of it\"");
	tell("\"type\":\"text\",\"text\":\"all of it\"");
	check_printed("all of it\n");
	/* Something else comes between. */
	tell("\"type\":\"partial\",\"text\":\"one\"");
	tell("\"type\":\"status\",\"text\":\"retrying\"");
	tell("\"type\":\"text\",\"text\":\"one\"");
	check_printed("one\n- retrying\n");
	/* What was redacted when it was whole. */
	tell("\"type\":\"partial\",\"text\":\"key ghp_\"");
	tell("\"type\":\"text\",\"text\":\"key [redacted]\"");
	check_printed("key ghp_\nkey [redacted]\n");
	/* A turn that was interrupted. */
	tell("\"type\":\"partial\",\"text\":\"half\"");
	tell("\"type\":\"result\",\"text\":\"interrupted\",\"isError\":true,\"durationMs\":1200");
	ck_assert(!talk.running && talk.failed);
	check_printed("half\n= interrupted (1.2 s)\n");
	tell("\"type\":\"text\",\"text\":\"half\"");
	check_printed("half\n");
}
END_TEST

START_TEST(the_end_of_a_text_that_began_before_is_left_out)
{
	static const char piece[] = "{\"seq\":8,\"type\":\"partial\",\"text\":\"the end\"}";

	fresh_talk();
	ctl_talk_message(&talk, piece, strlen(piece), &printed);
	check_printed("");
	ck_assert(talk.running);
	tell("\"type\":\"text\",\"text\":\"the beginning and the end\"");
	check_printed("the beginning and the end\n");
}
END_TEST

START_TEST(a_text_that_is_cut_does_not_repeat_what_was_streamed)
{
	static const char cut[] = "\"type\":\"text\",\"text\":\"the beginning\",\"file\":\"large/1.json\",\"bytes\":300000";

	fresh_talk();
	tell("\"type\":\"partial\",\"text\":\"the beginning, and\"");
	tell("\"type\":\"partial\",\"text\":\" the end\"");
	tell(cut);
	check_printed("the beginning, and the end\n");
	/* What was not streamed says that it is not all. */
	tell(cut);
	check_printed("the beginning [cut here: the message has 300000 bytes]\n");
	/* These are no messages of that kind. */
	tell("\"type\":\"text\",\"text\":\"a\",\"file\":\"large/1.json\"");
	tell("\"type\":\"text\",\"text\":\"b\",\"file\":7,\"bytes\":300000");
	tell("\"type\":\"text\",\"text\":\"c\",\"file\":\"large/1.json\",\"bytes\":\"x\"");
	check_printed("a\nb\nc\n");
}
END_TEST

START_TEST(what_would_steer_a_terminal_is_not_printed)
{
	fresh_talk();
	tell("\"type\":\"partial\",\"text\":\"a\\u001b[2Jb\\u009b31mc\\r\\u0007\"");
	check_printed("a?[2Jb31mc?");
	tell("\"type\":\"tool_call\",\"name\":\"Ba\\nsh\",\"input\":{\"command\":\"x\\u001b]0;t\\u0007\\ny\",\"description\":\"d\"}");
	check_printed("\n> Ba sh: x?]0;t? y\n");
	/* A command that would be shown in another order than it is run. */
	tell("\"type\":\"tool_call\",\"name\":\"Bash\",\"input\":{\"command\":\"a \\u202eb\\u2066c\\u200d\"}");
	check_printed("> Bash: a ?b?c\xe2\x80\x8d\n");
	tell("\"type\":\"question\",\"id\":\"q\",\"questions\":[{\"question\":\"a\\u001bc\",\"options\":[{\"label\":\"l\\u001b\\n\"}]}]");
	ctl_talk_prompt(&talk, &printed);
	check_printed("? a?c\n  1. l? \n");
}
END_TEST

START_TEST(what_is_too_long_ends_with_dots_behind_a_whole_character)
{
	static const struct {
		const char *text;
		size_t max;
		const char *expected;
	} rows[] = {
		{ "abc", 3, "abc" }, { "abcd", 3, "abc..." }, { "ab\xc3\xa9", 3, "ab..." }, { "ab\xc3\xa9", 4, "ab\xc3\xa9" },
		{ "a\nb", 3, "a b" }, { "\xf0\x9f\x98\x80", 2, "..." }, { "a\xff\xc3", 9, "a??" }, { "", 0, "" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		am_auto(am_buf_fini) struct am_buf out = { 0 };

		ctl_add_cut(&out, rows[i].text, strlen(rows[i].text), rows[i].max);
		ck_assert_str_eq(am_buf_str(&out), rows[i].expected);
	}
}
END_TEST

START_TEST(a_turn_ends_with_its_result_or_its_run)
{
	fresh_talk();
	ctl_talk_status(&talk, "{\"state\":\"preparing\",\"turn\":\"idle\"}");
	ck_assert(talk.preparing && !talk.running);
	ctl_talk_status(&talk, "{\"state\":\"running\",\"turn\":\"running\"}");
	ck_assert(!talk.preparing && talk.running);
	tell("\"type\":\"session\",\"state\":\"agent-ready\"");
	tell("\"type\":\"session\",\"state\":\"truncated\"");
	ck_assert(talk.running);
	tell("\"type\":\"result\"");
	ck_assert(!talk.running);
	tell("\"type\":\"text\",\"text\":\"x\"");
	ck_assert(talk.running);
	tell("\"type\":\"session\",\"state\":\"failed\"");
	ck_assert(!talk.running);
}
END_TEST

START_TEST(own_words_are_not_printed_again)
{
	fresh_talk();
	tell("\"type\":\"user\",\"text\":\"mine\",\"client\":\"ctl-me\"");
	check_printed("");
	tell("\"type\":\"user\",\"text\":\"another's\",\"client\":\"ctl-x\"");
	check_printed("user: another's\n");
}
END_TEST

static void
check_said(const char *text, bool good, const char *body_end)
{
	am_auto(am_buf_fini) struct am_buf body = { 0 };
	am_auto(am_buf_fini) struct am_buf said = { 0 };
	char id[32];

	ck_assert_msg(ctl_talk_say(&talk, text, id, &body, &said) == good, "%s", text);
	if (good) {
		ck_assert_msg(am_ends(am_buf_str(&body), body_end), "%s: %s", text, am_buf_str(&body));
		ck_assert_int_eq(am_json_check(body.data, body.len, NULL), 0);
	} else {
		ck_assert_str_eq(am_buf_str(&said), body_end);
	}
}

START_TEST(a_permission_is_answered_with_y_n_or_a_reason)
{
	static const struct {
		const char *text, *body;
	} rows[] = {
		{ "y", "\"to\":\"p\",\"answer\":{\"behavior\":\"allow\"}}" },
		{ "YES", "\"to\":\"p\",\"answer\":{\"behavior\":\"allow\"}}" },
		{ "n", "\"to\":\"p\",\"answer\":{\"behavior\":\"deny\"}}" },
		{ "no", "\"to\":\"p\",\"answer\":{\"behavior\":\"deny\"}}" },
		{ " y ", "\"to\":\"p\",\"answer\":{\"behavior\":\"allow\"}}" },
		{ "no, later", "\"to\":\"p\",\"answer\":{\"behavior\":\"deny\",\"message\":\"later\"}}" },
		{ "n: not \"there\"", "\"to\":\"p\",\"answer\":{\"behavior\":\"deny\",\"message\":\"not \\\"there\\\"\"}}" },
	};

	fresh_talk();
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		tell("\"type\":\"permission\",\"id\":\"p\",\"tool\":\"Bash\",\"input\":{\"command\":\"rm -r x\"}");
		ck_assert(talk.asked);
		ctl_talk_prompt(&talk, &printed);
		check_printed("? Bash: rm -r x\n");
		check_said("go on please", false, "the agent waits: answer with y, with n, or with n and a reason");
		check_said("y, but later", false, "the agent waits: answer with y, with n, or with n and a reason");
		check_said("note", false, "the agent waits: answer with y, with n, or with n and a reason");
		check_said(rows[i].text, true, rows[i].body);
		ck_assert_uint_eq(talk.ask_count, 0);
	}
	check_said("go on please", true, ",\"text\":\"go on please\"}");
}
END_TEST

START_TEST(another_persons_answer_takes_the_question_away)
{
	fresh_talk();
	tell("\"type\":\"permission\",\"id\":\"p\",\"tool\":\"Bash\",\"input\":{}");
	tell("\"type\":\"permission\",\"id\":\"r\",\"tool\":\"Write\",\"input\":{}");
	ck_assert_uint_eq(talk.ask_count, 2);
	tell("\"type\":\"permission\",\"id\":\"p\",\"tool\":\"Bash\",\"input\":{},\"decision\":\"allow\"");
	check_printed("? Bash: {} (allow)\n");
	ck_assert_uint_eq(talk.ask_count, 1);
	ck_assert_str_eq(talk.asks[0].id, "r");
	tell("\"type\":\"result\"");
	ck_assert_uint_eq(talk.ask_count, 0);
}
END_TEST

START_TEST(questions_are_asked_one_after_the_other)
{
	fresh_talk();
	tell("\"type\":\"question\",\"id\":\"q\",\"text\":\"Which?\",\"questions\":[{\"question\":\"Which?\",\"options\":[{\"label\":\"Red\"},"
	     "{\"label\":\"Blue\",\"description\":\"as the sky\"}]},{\"question\":\"And?\",\"multiSelect\":true,\"options\":"
	     "[{\"label\":\"A\"},{\"label\":\"B\"},{\"label\":\"C\"}]},{\"question\":\"Why?\"}]");
	ctl_talk_prompt(&talk, &printed);
	check_printed("? Which?\n  1. Red\n  2. Blue - as the sky\n");
	check_said("2", false, "");
	ctl_talk_prompt(&talk, &printed);
	check_printed("? And?\n  1. A\n  2. B\n  3. C\n");
	check_said("1, 3", false, "");
	ctl_talk_prompt(&talk, &printed);
	check_printed("? Why?\n");
	check_said("12 reasons", true, "\"to\":\"q\",\"answer\":{\"answers\":{\"Which?\":\"Blue\",\"And?\":\"A, C\",\"Why?\":\"12 reasons\"}}}");
}
END_TEST

static void
cases(TCase *tc)
{
	ctl_width_init();
	tcase_add_test(tc, keys_come_from_bytes_in_any_pieces);
	tcase_add_test(tc, a_paste_is_text_whole);
	tcase_add_test(tc, random_bytes_are_never_control_characters);
	tcase_add_test(tc, keys_edit_the_line);
	tcase_add_test(tc, enter_sends_unless_a_backslash_is_before_it);
	tcase_add_test(tc, up_and_down_move_by_rows_and_then_through_history);
	tcase_add_test(tc, what_is_typed_is_clean_and_bounded);
	tcase_add_test(tc, drawn_again_and_again_it_is_as_drawn_once);
	tcase_add_test(tc, long_input_shows_the_rows_around_the_cursor);
	tcase_add_test(tc, a_text_that_streams_is_printed_once);
	tcase_add_test(tc, the_end_of_a_text_that_began_before_is_left_out);
	tcase_add_test(tc, a_text_that_is_cut_does_not_repeat_what_was_streamed);
	tcase_add_test(tc, what_would_steer_a_terminal_is_not_printed);
	tcase_add_test(tc, what_is_too_long_ends_with_dots_behind_a_whole_character);
	tcase_add_test(tc, a_turn_ends_with_its_result_or_its_run);
	tcase_add_test(tc, own_words_are_not_printed_again);
	tcase_add_test(tc, a_permission_is_answered_with_y_n_or_a_reason);
	tcase_add_test(tc, another_persons_answer_takes_the_question_away);
	tcase_add_test(tc, questions_are_asked_one_after_the_other);
}

UNIT_MAIN("chat", cases)
