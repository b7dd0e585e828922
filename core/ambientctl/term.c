/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal in raw mode.  Keys come as they are pressed, signals are keys too, and output is still told line ends
 * as ever.  It is given back when chat ends, at exit(), and when a fatal signal ends the program.
 */
#include "core/ambientctl/chat.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define PASTE_ON  "\033[?2004h"
#define PASTE_OFF "\033[?2004l"

static struct termios before;
static volatile sig_atomic_t raw;

/* Async-signal-safe. */
void
ctl_term_leave(void)
{
	if (!raw)
		return;
	raw = 0;
	(void)!write(STDOUT_FILENO, PASTE_OFF, sizeof(PASTE_OFF) - 1);
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

static void
on_fatal(int signal_number)
{
	ctl_term_leave();
	(void)signal(signal_number, SIG_DFL);
	(void)raise(signal_number);
}

static int
set_raw(struct ambient_error *err)
{
	struct termios now;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return ambient_err(err, AMBIENT_E_INTERNAL, "the terminal cannot be used: %s", strerror(errno));
	now = before;
	now.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
	now.c_iflag &= ~(tcflag_t)(IXON | ICRNL | INLCR | IGNCR);
	now.c_oflag |= OPOST | ONLCR;
	now.c_cc[VMIN] = 1;
	now.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &now) < 0)
		return ambient_err(err, AMBIENT_E_INTERNAL, "the terminal cannot be used: %s", strerror(errno));
	raw = 1;
	(void)!write(STDOUT_FILENO, PASTE_ON, sizeof(PASTE_ON) - 1);
	return 0;
}

int
ctl_term_enter(struct ambient_error *err)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT };

	if (set_raw(err) < 0)
		return -err->code;
	(void)atexit(ctl_term_leave);
	for (size_t i = 0; i < AM_COUNTOF(fatal); i++)
		(void)signal(fatal[i], on_fatal);
	return 0;
}

void
ctl_term_suspend(void)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ctl_term_leave();
	(void)kill(getpid(), SIGTSTP);
	(void)set_raw(&err);
}

void
ctl_term_size(unsigned *columns, unsigned *lines)
{
	struct winsize size;
	bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;

	*columns = known ? size.ws_col : 80;
	*lines = known ? size.ws_row : 24;
}
