/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_client: what the client costs, over TLS on loopback against the scripted server in the same process:
 * latency of a small GET, requests per second of several threads, bytes per second of a large list, and memory and
 * processor time of watches that say nothing.  Prints a table; asserts nothing.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/kube/kube_priv.h"
#include "tests/lib/apiserver_fake.h"

#define GETS    4000
#define THREADS 8
#define WATCHES 100

static struct am_kube *kube;
static int64_t times[GETS];

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void
get(const char *path)
{
	struct am_kube_request request = { .method = "GET", .path = path };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	am_auto(am_buf_fini) struct am_buf body = { 0 };

	if (am_kube_do(kube, &request, &body, &err) < 0) {
		(void)fprintf(stderr, "bench_client: %s\n", err.message);
		exit(1);
	}
}

static void *
get_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < GETS / THREADS; i++)
		get("/small");
	return NULL;
}

static int64_t
now(void)
{
	return am_clock_boot(am_clock_real());
}

static double
cpu_seconds(void)
{
	struct rusage use;

	(void)getrusage(RUSAGE_SELF, &use);
	return (double)use.ru_utime.tv_sec + (double)use.ru_utime.tv_usec / 1e6 + (double)use.ru_stime.tv_sec +
	       (double)use.ru_stime.tv_usec / 1e6;
}

static long
private_dirty_kib(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	char line[256];
	long kib = -1;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		(void)sscanf(line, "Private_Dirty: %ld", &kib);
	if (file != NULL)
		(void)fclose(file);
	return kib;
}

static int
on_data(void *arg, const char *p, size_t n, struct ambient_error *err)
{
	(void)arg, (void)p, (void)n, (void)err;
	return 0;
}

static void
on_done(void *arg, const struct ambient_error *err)
{
	(void)arg, (void)err;
}

static void
start_watch(void *arg)
{
	struct am_http_req req = { .method = "GET", .path = "/watch", .watch = true };
	struct am_http_sink sink = { NULL, on_data, on_done, NULL };

	(void)arg;
	(void)am_io_start(am_kube_io(kube), &req, &sink);
}

int
main(void)
{
	struct fake_api *api = fake_api_new(FAKE_API_TLS);
	struct am_kube_config *config = am_xcalloc(1, sizeof(*config));
	struct am_kube_options options = { .qps = -1 };
	size_t big_len = 32 << 20;
	char *big = am_xcalloc(1, big_len + 1);
	pthread_t threads[THREADS];

	memset(big, 'x', big_len);
	fake_api_add(api, &(struct fake_api_rule){ .path = "/small", .status = 200, .body = "{}", .flags = FAKE_API_LENGTH });
	fake_api_add(api, &(struct fake_api_rule){ .path = "/big", .status = 200, .body = big });
	fake_api_add(api, &(struct fake_api_rule){ .path = "/watch", .status = 200, .body = "{}\n", .flags = FAKE_API_STALL });
	config->ca_data = am_xstrdup(fake_api_ca(api));
	if (am_kube_config_finish(config, fake_api_url(api), NULL) < 0 || am_kube_new(config, &options, &kube, NULL) < 0)
		return 1;

	get("/small");
	for (int i = 0; i < GETS; i++) {
		int64_t began = now();
		get("/small");
		times[i] = now() - began;
	}
	qsort(times, GETS, sizeof(times[0]), compare);
	(void)printf("GET, one thread           median %.0f us, p99 %.0f us\n", (double)times[GETS / 2] / 1e3,
		     (double)times[GETS * 99 / 100] / 1e3);

	int64_t began = now();
	for (int i = 0; i < THREADS; i++)
		(void)pthread_create(&threads[i], NULL, get_many, NULL);
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	(void)printf("GET, %d threads            %.0f per second\n", THREADS, GETS / ((double)(now() - began) / 1e9));

	began = now();
	get("/big");
	(void)printf("GET of 32 MiB             %.0f MiB per second\n", 32 / ((double)(now() - began) / 1e9));
	free(big);

	long before = private_dirty_kib();
	for (int i = 0; i < WATCHES; i++)
		am_io_post(am_kube_io(kube), start_watch, NULL);
	(void)fake_api_wait(api, 2 * GETS + 2 + WATCHES);
	(void)usleep(300000);
	long after = private_dirty_kib();
	double cpu = cpu_seconds();
	(void)sleep(10);
	(void)printf("%d silent TLS watches    %.0f KiB private dirty each (both ends), %.3f %% CPU\n", WATCHES,
		     (double)(after - before) / WATCHES, (cpu_seconds() - cpu) * 10);
	am_kube_free(kube);
	fake_api_free(api);
	return 0;
}
