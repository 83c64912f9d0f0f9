/* tensor/torch_file.c - placeholder. */
#include "tensor/torch_file_internal.h"
mg_status mg_torch_file_open(const char *path, mg_torch_file **file_out, mg_error *err)
{
    *file_out = NULL;
    return mg_fail(err, MG_ERR_UNSUPPORTED, "%s: PyTorch files", path);
}
void mg_torch_file_close(mg_torch_file *file)
{
    (void)file;
}
int64_t mg_torch_file_count(const mg_torch_file *file)
{
    (void)file;
    return 0;
}
mg_view mg_torch_file_at(const mg_torch_file *file, int64_t index)
{
    (void)file;
    (void)index;
    mg_view view = { 0 };
    return view;
}
mg_mapping mg_torch_file_mapping(const mg_torch_file *file)
{
    (void)file;
    mg_mapping mapping = { 0 };
    return mapping;
}
