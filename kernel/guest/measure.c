// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs a program and says what it took, in the words of perf stat, on one line.
 * Exit status: the program's.
 */
#include <err.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double began = seconds();
	struct rusage used;
	int status;
	pid_t child;

	if (argc < 2)
		errx(2, "usage: measure PROGRAM [ARGUMENTS]");
	child = fork();
	if (child < 0)
		err(2, "fork");
	if (!child) {
		execvp(argv[1], argv + 1);
		err(127, "%s", argv[1]);
	}
	if (wait4(child, &status, 0, &used) < 0)
		err(2, "wait4");
	printf("task-clock=%.3f elapsed=%.3f context-switches=%ld page-faults=%ld\n",
	       used.ru_utime.tv_sec + used.ru_stime.tv_sec +
	       (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6,
	       seconds() - began, used.ru_nvcsw + used.ru_nivcsw,
	       used.ru_minflt + used.ru_majflt);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
