/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/bottles/NAME/history. */
#include "controller/routes.h"
#include "spec/base/xalloc.h"

json_t *api_history(const struct route_call *call, int *ret_status)
{
    (void)ret_status;
    history_load(call->w);
    return XNN(json_pack("{s:s, s:s, s:o}", "kind", "HistoryList", "bottle", call->w->name, "items",
                         ledger_json(&call->w->history.ledger)));
}
