/* SPDX-License-Identifier: Apache-2.0 */
/* What every Prometheus client reports of its process, from /proc/self (proc(5)). */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/counter.h"
#include "core/base/file.h"
#include "core/base/str.h"
#include "core/ops/ops_priv.h"

static void
set(enum am_metric_type type, const char *name, const char *help, double value)
{
	am_metric_set(am_metric(type, name, help, NULL, NULL), value);
}

/* Of "btime 1700000000" in /proc/stat. */
static double
boot_time(void)
{
	struct am_buf text = {0};
	unsigned long long seconds = 0;

	if (am_file_read("/proc/stat", 4 << 20, &text, NULL) == 0) {
		const char *at = strstr(am_buf_str(&text), "\nbtime ");
		if (at != NULL)
			(void)sscanf(at, "\nbtime %llu", &seconds);
	}
	am_buf_fini(&text);
	return (double)seconds;
}

static void
from_stat(void)
{
	struct am_buf text = {0};
	unsigned long long utime, stime, start, virtual;
	long resident;

	if (am_file_read("/proc/self/stat", 4096, &text, NULL) == 0) {
		const char *after_name = strrchr(am_buf_str(&text), ')');
		double hz = (double)sysconf(_SC_CLK_TCK);
		if (after_name != NULL && sscanf(after_name + 1,
						 " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d "
						 "%*d %*d %*d %llu %llu %ld",
						 &utime, &stime, &start, &virtual, &resident) == 5) {
			set(AM_COUNTER, "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
			    (double)(utime + stime) / hz);
			set(AM_GAUGE, "process_start_time_seconds",
			    "Start time of the process since unix epoch in seconds.", boot_time() + (double)start / hz);
			set(AM_GAUGE, "process_virtual_memory_bytes", "Virtual memory size in bytes.", (double)virtual);
			set(AM_GAUGE, "process_resident_memory_bytes", "Resident memory size in bytes.",
			    (double)resident * (double)sysconf(_SC_PAGESIZE));
		}
	}
	am_buf_fini(&text);
}

static void
files(void)
{
	struct rlimit limit;
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir != NULL && readdir(dir) != NULL)
		n++;
	if (dir != NULL) {
		(void)closedir(dir);
		/* Without ".", ".." and the one that reads. */
		set(AM_GAUGE, "process_open_fds", "Number of open file descriptors.", n - 3);
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		set(AM_GAUGE, "process_max_fds", "Maximum number of open file descriptors.", (double)limit.rlim_cur);
}

/* Of the network namespace, as the others report it: /proc/self/net/netstat has a line of names and one of values. */
static void
network(void)
{
	struct am_buf text = {0};
	unsigned long long in, out;

	if (am_file_read("/proc/self/net/netstat", 1 << 16, &text, NULL) == 0) {
		const char *names = strstr(am_buf_str(&text), "IpExt: In"),
			   *values = names != NULL ? strstr(names, "\nIpExt: ") : NULL;
		if (values != NULL && sscanf(values, "\nIpExt: %*u %*u %*u %*u %*u %*u %llu %llu", &in, &out) == 2) {
			set(AM_COUNTER, "process_network_receive_bytes_total",
			    "Number of bytes received by the process over the network.", (double)in);
			set(AM_COUNTER, "process_network_transmit_bytes_total",
			    "Number of bytes sent by the process over the network.", (double)out);
		}
	}
	am_buf_fini(&text);
}

void
ops_refresh_process(void)
{
	from_stat();
	files();
	network();
}
