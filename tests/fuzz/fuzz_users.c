/* SPDX-License-Identifier: Apache-2.0 */
/* The file of users, and the file of encryption keys: read, or refused with a line; what was read is written the same. */
#include <stdlib.h>

#include "core/kube/users.h"
#include "plugins/standalone/apiserver/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_users(const char *text, size_t n)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_users users, again;
	struct am_buf out = { 0 };

	if (am_users_parse("f", text, n, &users, &err) < 0) {
		am_assert(err.code == AMBIENT_E_INVALID && err.message[0] == 'f' && err.message[1] == ':');
		return;
	}
	am_users_print(&users, &out);
	am_assert(am_users_parse("f", am_buf_str(&out), out.len, &again, &err) == 0 && again.n == users.n);
	for (size_t i = 0; i < users.n; i++)
		am_assert(strcmp(users.items[i].name, again.items[i].name) == 0 &&
			  strcmp(users.items[i].hash, again.items[i].hash) == 0 && users.items[i].n_groups == again.items[i].n_groups);
	am_users_fini(&users);
	am_users_fini(&again);
	am_buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_seal *seal = NULL;

	read_users((const char *)data, size);
	if (am_seal_parse("f", (const char *)data, size, &seal, &err) < 0)
		am_assert(err.code == AMBIENT_E_INVALID && seal == NULL);
	am_seal_free(seal);
	return 0;
}
