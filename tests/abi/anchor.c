/* anchor.c - one function that takes every struct of the contract, so that a tool that compares
 * binary interfaces sees them all. */
#include <lhost/abi.h>

extern void lhost_anchor(const lh_plugin *plugin, const lh_host *host,
                         const lh_loader_options *loader, const lh_dataset_desc *dataset,
                         const lh_tensor_info *info);
LH_EXPORT void lhost_anchor(const lh_plugin *plugin, const lh_host *host,
                            const lh_loader_options *loader, const lh_dataset_desc *dataset,
                            const lh_tensor_info *info) {
}
