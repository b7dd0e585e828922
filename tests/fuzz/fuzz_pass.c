/* SPDX-License-Identifier: Apache-2.0 */
/* What is passed on: the head of a node's or pod's answer; then the same bytes as the name of a pod to be reached, as a
 * request target, and as the value of a field. */
#include <stdlib.h>

#include "plugins/standalone/apiserver/pass.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One line and no byte that a request's head must not have. */
static void
check_line(const struct am_buf *text, size_t ends)
{
	am_assert(!text->failed && text->len >= ends);
	for (size_t i = 0; i + ends < text->len; i++)
		am_assert((unsigned char)text->data[i] >= ' ' && text->data[i] != 0x7f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = am_xstrndup((const char *)data, size), *copy = am_xstrdup(text);
	struct am_buf out = { 0 };
	struct rest_target target;
	struct rest_head head;

	if (rest_head_parse(copy, &head)) {
		am_assert(head.status >= 100 && head.status < 600 && head.n <= REST_FIELDS_MAX);
		for (size_t i = 0; i < head.n; i++)
			am_assert(*head.fields[i].name != '\0' && strpbrk(head.fields[i].value, "\r\n") == NULL &&
				  rest_head_get(&head, head.fields[i].name) != NULL);
	}
	if (rest_target_parse(text, &target))
		am_assert(*target.name != '\0' && strchr(target.name, ':') == NULL);
	(void)rest_target_address_ok(text);
	rest_add_target(&out, am_slice((const char *)data, size));
	check_line(&out, 0);
	am_assert(out.len == 0 || strchr(out.data, ' ') == NULL);
	am_buf_reset(&out);
	rest_add_field(&out, "X", text);
	check_line(&out, 2);
	am_buf_fini(&out);
	free(text);
	free(copy);
	return 0;
}
