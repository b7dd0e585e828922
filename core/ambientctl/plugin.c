/* SPDX-License-Identifier: Apache-2.0 */
/* plugin inspect and rbac: what a plugin's file declares, without running any of its code. */
#include "core/ambientctl/ctl.h"

#include <stdio.h>

#include "core/plugin/plugin.h"

static int
run(struct ctl *ctl)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_plugin_info info = { 0 };
	const char *line, *end;

	if (am_streq(ctl->words[0], "rbac"))
		return ctl_plugin_rbac(ctl->words + 1, ctl->word_count - 1);
	if (!am_streq(ctl->words[0], "inspect") || ctl->word_count != 2)
		return ctl_usage("usage: ambientctl plugin inspect FILE, or ambientctl plugin rbac FILE...");
	if (am_plugin_inspect(ctl->words[1], &info, &err) < 0)
		return ctl_fail(&err, "cannot inspect");
	line = info.decl->text;
	end = line + info.decl->text_len;
	if (ctl->json) {
		am_auto(am_buf_fini) struct am_buf out = { 0 };

		am_json_addf(&out, "{\"name\":%s,\"version\":%s,\"abi\":%d,\"sha256\":%s,\"declarations\":[",
			     info.decl->name, info.decl->version, info.abi, info.sha256);
		for (const char *comma = ""; line < end; line += strlen(line) + 1)
			if (line[0] != '\0') {
				am_json_addf(&out, "%j%s", comma, line);
				comma = ",";
			}
		(void)printf("%s]}\n", am_buf_str(&out));
	} else {
		(void)printf("%s %s\n  abi      %d\n  size     %zu\n  sha256   %s\n", info.decl->name, info.decl->version,
			     info.abi, info.size, info.sha256);
		for (; line < end; line += strlen(line) + 1) {
			size_t key = strcspn(line, "=");

			if (line[0] == '\0' || am_starts(line, "name=") || am_starts(line, "version="))
				continue;
			(void)printf("  %-8.*s ", (int)key, line);
			ctl_put_clean(stdout, line + key + (line[key] == '='), true);
			(void)putchar('\n');
		}
	}
	am_plugin_info_fini(&info);
	return CTL_OK;
}

const struct ctl_command ctl_plugin = {
	.name = "plugin", .synopsis = "plugin inspect|rbac FILE...", .text = "Say what a plugin provides and asks for.",
	.min = 2, .max = CTL_WORDS, .offline = true, .run = run,
};
