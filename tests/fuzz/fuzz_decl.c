/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin's file of any bytes, and the same bytes as declarations. */
#include <stdlib.h>
#include <string.h>

#include "core/plugin/plugin_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_plugin_info info;
	struct plugin_elf elf;
	struct am_plugin_decl *decl;
	/* An exact copy, so that one byte too far is seen. */
	char *bytes = malloc(size + (size == 0));

	if (bytes == NULL)
		abort();
	if (size > 0)
		memcpy(bytes, data, size);
	if (am_plugin_inspect_bytes("fuzz.so", bytes, size, &info, &elf, &err) < 0 && err.message[0] == '\0')
		abort();
	am_plugin_info_fini(&info);
	decl = am_plugin_decl_parse(bytes, size, &err);
	/* What was accepted may be asked for anything. */
	if (decl != NULL) {
		(void)am_plugin_decl_may(decl, "v1/pods", "log", AM_VERB_GET);
		(void)am_plugin_decl_watches(decl, "v1/pods");
	}
	am_plugin_decl_free(decl);
	free(bytes);
	return 0;
}
