/* SPDX-License-Identifier: Apache-2.0 */
/* All of the plugin interface.  See plugin.h for where to start. */
#ifndef AMBIENT_AMBIENT_H
#define AMBIENT_AMBIENT_H
#include <ambient/conf.h>
#include <ambient/error.h>
#include <ambient/helpers.h>
#include <ambient/host.h>
#include <ambient/message.h>
#include <ambient/object.h>
#include <ambient/plugin.h>
#include <ambient/reconciler.h>
#include <ambient/runner.h>
#include <ambient/server.h>
#endif
