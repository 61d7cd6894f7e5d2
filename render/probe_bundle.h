/* SPDX-License-Identifier: Apache-2.0 */
/* The probe of `attest` (sidecars/probe), carried in this library as a tar of its modules. */
#ifndef BOTTLER_RENDER_PROBE_BUNDLE_H
#define BOTTLER_RENDER_PROBE_BUNDLE_H

#include "spec/base/str.h"

/* An archive for "/": bottler-probe/main.py and the modules beside it, owned by root. The same
 * bytes for the same modules. */
struct sv probe_bundle(void);

#endif
