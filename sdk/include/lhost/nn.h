/* nn.h - layers: header-only sugar over parameters and operators, with PyTorch's names, shapes,
 * defaults and initial values.
 *
 * A layer is a small struct of parameter handles, made in configure_model and applied in steps:
 *
 *     m->conv = lh_conv2d_make(c, "conv", 1, 32, 3, .padding = 1);   // configure_model
 *     x = lh_conv_apply(c, m->conv, x);                              // a step
 *
 * Its parameters are called NAME.weight, NAME.bias ..., as in PyTorch's state_dict, so that weights
 * go from one to the other by name (lh_load_weights). Options are designated initialisers after the
 * fixed arguments; one that is left out has PyTorch's default. The error of an `apply` names the
 * author's line. [trainer]
 *
 *     nn/param.h      parameters, buffers, names, shared weights, training and evaluation mode
 *     nn/linear.h     nn/conv.h       nn/norm.h        nn/dropout.h     nn/embedding.h
 *     nn/recurrent.h  nn/attention.h  nn/transformer.h
 *     nn/container.h  layers one after the other
 */
#ifndef LHOST_NN_H
#define LHOST_NN_H

#include "nn/attention.h"
#include "nn/container.h"
#include "nn/conv.h"
#include "nn/dropout.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/param.h"
#include "nn/recurrent.h"
#include "nn/transformer.h"

#endif
