/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor URL CA CERT KEY: a program with the daemon's libraries that does nothing but keep one TLS connection to an API
 * server: what the daemon's resident memory is compared with.  Prints "ready" once it has had an answer.
 */
#include <stdio.h>
#include <unistd.h>

#include <curl/curl.h>

static size_t
drop(char *data, size_t size, size_t n, void *arg)
{
	(void)data;
	(void)arg;
	return size * n;
}

int
main(int argc, char **argv)
{
	if (argc != 5) {
		(void)fprintf(stderr, "usage: floor URL CA CERT KEY\n");
		return 2;
	}
	CURL *curl = curl_global_init(CURL_GLOBAL_ALL) == 0 ? curl_easy_init() : NULL;
	if (curl == NULL)
		return 1;
	(void)curl_easy_setopt(curl, CURLOPT_URL, argv[1]);
	(void)curl_easy_setopt(curl, CURLOPT_CAINFO, argv[2]);
	(void)curl_easy_setopt(curl, CURLOPT_SSLCERT, argv[3]);
	(void)curl_easy_setopt(curl, CURLOPT_SSLKEY, argv[4]);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
	CURLcode rc = curl_easy_perform(curl);
	if (rc != CURLE_OK) {
		(void)fprintf(stderr, "floor: %s: %s\n", argv[1], curl_easy_strerror(rc));
		return 1;
	}
	(void)printf("ready\n");
	(void)fflush(stdout);
	(void)pause();
	curl_easy_cleanup(curl);
	return 0;
}
