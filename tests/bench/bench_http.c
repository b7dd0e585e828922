/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_http KUBECONFIG: short requests to a real API server over HTTP/1.1 and over HTTP/2, in turns: latency of a small
 * GET, requests per second of 8 and of 32 threads, connections, and the processor time of this process for each request.
 * Prints a table; asserts nothing.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/kube/kube.h"

#define GETS  2000
#define WARM  100
#define TURNS 3

static struct am_kube *kube;
static int64_t times[GETS];
static int each;

static void
get(void)
{
	struct am_kube_request request = { .method = "GET", .path = "/api/v1/namespaces/default" };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	am_auto(am_buf_fini) struct am_buf body = { 0 };

	if (am_kube_do(kube, &request, &body, &err) < 0) {
		(void)fprintf(stderr, "bench_http: %s\n", err.message);
		exit(1);
	}
}

static void *
get_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < each; i++)
		get();
	return NULL;
}

static int64_t
now(void)
{
	return am_clock_boot(am_clock_real());
}

static int
sockets(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;) {
		char path[300], target[64] = "";

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%s", d->d_name);
		if (readlink(path, target, sizeof(target) - 1) > 0)
			n += strncmp(target, "socket:", 7) == 0;
	}
	if (dir != NULL)
		(void)closedir(dir);
	return n;
}

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void
together(int threads)
{
	pthread_t ids[32];
	clock_t cpu = clock();
	int64_t began = now();

	each = GETS / threads;
	for (int i = 0; i < threads; i++)
		(void)pthread_create(&ids[i], NULL, get_many, NULL);
	for (int i = 0; i < threads; i++)
		(void)pthread_join(ids[i], NULL);
	(void)printf("; %2d threads %6.0f/s, %3.0f us CPU, %2d sockets", threads, each * threads / ((double)(now() - began) / 1e9),
		     (double)(clock() - cpu) * 1e6 / CLOCKS_PER_SEC / (each * threads), sockets());
}

static void
turn(const char *path, bool http2)
{
	struct am_kube_options options = { .qps = -1, .http2 = http2 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_kube_config *config;

	if (am_kube_config_file(path, NULL, &config, &err) < 0 || am_kube_new(config, &options, &kube, &err) < 0) {
		(void)fprintf(stderr, "bench_http: %s\n", err.message);
		exit(1);
	}
	for (int i = 0; i < WARM; i++)
		get();
	clock_t cpu = clock();
	for (int i = 0; i < GETS; i++) {
		int64_t began = now();
		get();
		times[i] = now() - began;
	}
	qsort(times, GETS, sizeof(times[0]), compare);
	(void)printf("HTTP/%s one thread median %4.0f us, p99 %5.0f us, %3.0f us CPU", http2 ? "2  " : "1.1", (double)times[GETS / 2] / 1e3,
		     (double)times[GETS * 99 / 100] / 1e3, (double)(clock() - cpu) * 1e6 / CLOCKS_PER_SEC / GETS);
	together(8);
	together(32);
	(void)printf("\n");
	am_kube_free(kube);
}

int
main(int argc, char **argv)
{
	if (argc != 2) {
		(void)fprintf(stderr, "usage: bench_http KUBECONFIG\n");
		return 2;
	}
	for (int i = 0; i < TURNS; i++) {
		turn(argv[1], false);
		turn(argv[1], true);
	}
	return 0;
}
