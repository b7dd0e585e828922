/* SPDX-License-Identifier: Apache-2.0 */
/* A bearer token: claims of what our key has signed, or an error; nothing that was not signed is ever good. */
#include <stdlib.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/util.h"
#include "plugins/standalone/apiserver/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rest_keys *
the_keys(void)
{
	static struct rest_keys *keys;
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (keys == NULL) {
		char dir[] = "/tmp/ambient-fuzz-XXXXXX";

		am_assert(mkdtemp(dir) != NULL);
		const struct rest_keys_options o = { .dir = dir, .clock = am_clock_real() };

		am_assert(rest_keys_open(&o, &keys, &err) == 0);
		(void)am_remove_tree(dir, NULL);
	}
	return keys;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_arena *arena = am_arena_new_limited((size_t)16 << 20);
	char *token = am_xstrndup((const char *)data, size);
	struct am_buf out = { 0 }, claims = { 0 };

	/* Whatever comes from outside was not signed by a key that was made a moment ago. */
	am_assert(rest_jwt_verify(the_keys(), arena, token, &err) == NULL);
	am_assert(err.code == AMBIENT_E_UNAUTHORIZED);
	/* As claims of our own: what is an object comes back, the rest does not. */
	am_buf_adds(&claims, token);
	if (claims.len > 0 && claims.len < 4000 && rest_jwt_sign(the_keys(), &claims, &out, &err) == 0) {
		bool object = am_json_check(claims.data, claims.len, NULL) == 0 &&
			      am_json_type(am_slice(claims.data, claims.len)) == AMBIENT_T_OBJECT;

		am_assert((rest_jwt_verify(the_keys(), arena, am_buf_str(&out), &err) != NULL) == object);
	}
	am_buf_fini(&out);
	am_buf_fini(&claims);
	free(token);
	am_arena_free(arena);
	return 0;
}
