/* lhost.h - all that a plugin includes.
 *
 *     abi.h    what a plugin exports: modules, data modules, callbacks, loggers and their hooks
 *     host.h   what the host offers, as a table; everything below is sugar over it
 *     ops.h    operators        nn.h     layers
 *     optim.h  optimizers and learning-rate schedules
 *     data.h   datasets and loaders
 *     run.h    errors, hyper-parameters, metrics, the trainer, checkpoint state
 *     metrics.h  meters: accuracy, AUROC and others over many batches
 *     text.h   numbers as text
 *
 * All of it is header-only: a plugin links against nothing.
 */
#ifndef LHOST_LHOST_H
#define LHOST_LHOST_H

#include "abi.h"
#include "data.h"
#include "metrics.h"
#include "nn.h"
#include "ops.h"
#include "optim.h"
#include "run.h"
#include "text.h"

#endif
