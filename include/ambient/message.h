/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages: what an agent does, as one JSON object a line, {"seq","time","run","type",...}.  doc/messages.md
 * lists the fields of each type.  seq counts up per session and never restarts; a message is at most
 * AMBIENT_MESSAGE_MAX bytes, larger ones refer to a file; secrets are redacted before anything is written.
 */
#ifndef AMBIENT_MESSAGE_H
#define AMBIENT_MESSAGE_H

#define AMBIENT_MESSAGE_MAX (256 * 1024)

#define AMBIENT_MSG_SESSION     "session"     /* state, text */
#define AMBIENT_MSG_TEXT        "text"        /* text */
#define AMBIENT_MSG_PARTIAL     "partial"     /* text, index */
#define AMBIENT_MSG_THINKING    "thinking"    /* text */
#define AMBIENT_MSG_TOOL_CALL   "tool_call"   /* id, name, input */
#define AMBIENT_MSG_TOOL_RESULT "tool_result" /* id, text, isError */
#define AMBIENT_MSG_PERMISSION  "permission"  /* id, tool, input */
#define AMBIENT_MSG_QUESTION    "question"    /* id, text */
#define AMBIENT_MSG_STATUS      "status"      /* text */
#define AMBIENT_MSG_USAGE       "usage"       /* inputTokens, outputTokens, costUSD */
#define AMBIENT_MSG_RESULT      "result"      /* text, isError, turns, costUSD, durationMs, conversation */
#define AMBIENT_MSG_ERROR       "error"       /* reason, text */
#define AMBIENT_MSG_USER        "user"        /* text, id, client: what a person said; the runner's own, no agent's */

#endif
