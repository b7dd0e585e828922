/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to the objects of tests/bench/peers: writes from sixteen threads, as fast as the API server takes them.
 *
 *   load KUBECONFIG create N            sessions of 1.8 KB, session-000000 and on, in the namespace "bench"
 *   load KUBECONFIG storm UPDATES KEYS  changes of an annotation, spread over the first KEYS of them
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/kube/kube.h"

#define THREADS 16
#define NS      "bench"

static const struct am_gvr sessions = {"vteam.ambient-code", "v1alpha1", "agenticsessions"};
static const struct am_gvr namespaces = {"", "v1", "namespaces"};
static struct am_kube *kube;
static long total, keys; /* keys 0: create */
static long next;        /* atomic */

static void
check(int rc, const struct ambient_error *err)
{
	if (rc >= 0 || err->code == AMBIENT_E_EXISTS)
		return;
	(void)fprintf(stderr, "load: %s\n", err->message);
	exit(1);
}

/* A text of its own in each prompt, as people's have; the conditions of a session that is through. */
static void
create(long i)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	am_auto(am_buf_fini) struct am_buf text = {0};
	unsigned char noise[96];
	char name[32];

	(void)snprintf(name, sizeof(name), "session-%06ld", i);
	am_random(noise, sizeof(noise));
	am_buf_addf(&text,
		    "{\"apiVersion\":\"vteam.ambient-code/"
		    "v1alpha1\",\"kind\":\"AgenticSession\",\"metadata\":{\"name\":\"%s\","
		    "\"labels\":{\"app.kubernetes.io/"
		    "name\":\"session\",\"team\":\"team-%ld\"}},\"spec\":{\"initialPrompt\":"
		    "\"Look at issue %ld, find out why it fails and mend it. ",
		    name, i % 50, i * 7);
	am_base64_encode(&text, noise, sizeof(noise), true);
	for (int k = 0; k < 20; k++)
		am_buf_addf(&text, " Step %d: run the tests.", k);
	am_buf_addf(
		&text,
		"\",\"repos\":[{\"url\":\"https://git.example.com/team-%ld/"
		"repo-%ld.git\",\"branch\":\"main\"}],\"interactive\":"
		"false,\"timeout\":300,\"llmSettings\":{\"model\":\"sonnet\",\"temperature\":0.7,\"maxTokens\":4000},"
		"\"userContext\":{\"userId\":\"user-%ld\",\"displayName\":\"User Number %ld\",\"groups\":[\"devs\"]}}}",
		i % 50, i % 300, i % 900, i % 900);
	check(am_kube_create(kube, &sessions, NS, text.data, text.len, NULL, &err), &err);
	am_buf_reset(&text);
	am_buf_addf(
		&text,
		"{\"status\":{\"phase\":\"Completed\",\"startTime\":\"2026-01-01T00:00:00Z\",\"jobName\":\"%s-job\","
		"\"conditions\":[",
		name);
	for (int c = 0; c < 3; c++)
		am_buf_addf(&text,
			    "%s{\"type\":\"%s\",\"status\":\"True\",\"reason\":\"AsExpected\",\"message\":\"step %d is "
			    "through\","
			    "\"observedGeneration\":1,\"lastTransitionTime\":\"2026-01-01T00:00:0%dZ\"}",
			    c > 0 ? "," : "", (const char *[]){"Prepared", "Started", "Finished"}[c], c, c);
	am_buf_adds(&text, "]}}");
	check(am_kube_patch(kube, &sessions, NS, name, "status", "application/merge-patch+json", text.data, text.len,
			    NULL, &err),
	      &err);
}

static void
update(long i)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char name[32], patch[96];

	(void)snprintf(name, sizeof(name), "session-%06ld", i % keys);
	int n = snprintf(patch, sizeof(patch), "{\"metadata\":{\"annotations\":{\"bench/n\":\"%012ld\"}}}", i);
	check(am_kube_patch(kube, &sessions, NS, name, NULL, "application/merge-patch+json", patch, (size_t)n, NULL,
			    &err),
	      &err);
}

static void *
work(void *arg)
{
	for (long i; (i = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < total;)
		keys == 0 ? create(i) : update(i);
	return arg;
}

int
main(int argc, char **argv)
{
	static const char space[] = "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"" NS "\"}}";
	struct am_kube_options options = {.qps = -1};
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_kube_config *config;
	pthread_t threads[THREADS];
	bool storm = argc == 5 && strcmp(argv[2], "storm") == 0;

	if (!storm && (argc != 4 || strcmp(argv[2], "create") != 0)) {
		(void)fprintf(stderr, "usage: load KUBECONFIG create N | storm UPDATES KEYS\n");
		return 2;
	}
	total = strtol(argv[3], NULL, 10);
	keys = storm ? strtol(argv[4], NULL, 10) : 0;
	if (total < 0 || (storm && keys <= 0)) {
		(void)fprintf(stderr, "load: counts are whole numbers above 0\n");
		return 2;
	}
	int rc = am_kube_config_file(argv[1], NULL, &config, &err);
	if (rc == 0)
		rc = am_kube_new(config, &options, &kube, &err);
	check(rc, &err);
	if (!storm)
		check(am_kube_create(kube, &namespaces, NULL, space, strlen(space), NULL, &err), &err);
	for (int i = 0; i < THREADS; i++)
		(void)pthread_create(&threads[i], NULL, work, NULL);
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	am_kube_free(kube);
	return 0;
}
