/* SPDX-License-Identifier: Apache-2.0 */
/* A kubeconfig text: whatever it says, it is refused with a sentence or gives an address that is safe to use. */
#include "core/kube/kube_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct am_kubeconfig_text text = { "\"fuzz\"", "/dir", (const char *)data, size };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_kube_config *config = NULL;

	if (am_kube_config_texts(&text, 1, NULL, &config, &err) < 0) {
		am_assert(err.code != 0 && err.message[0] != '\0');
		return 0;
	}
	am_assert(am_starts(config->server, "https://") || (am_starts(config->server, "http://") && config->loopback));
	am_assert(!(config->insecure && (config->ca_data != NULL || config->ca_file != NULL)));
	am_kube_config_free(config);
	return 0;
}
