/* hub/cache.c - model references and the local Hub cache.
 *
 *     hub/models--OWNER--NAME/refs/REVISION             the commit, 40 hex digits
 *     hub/models--OWNER--NAME/snapshots/COMMIT/...      the files (links into blobs/)
 */
#include "hub/cache.h"

#include "base/fs.h"

#define REF_BYTES_MAX 4096
#define NAME_BYTES_MAX 96
#define REFERENCE_BYTES_MAX 8192 /* two paths and their revisions */

/* "PATH[@REVISION]", a part of the reference whole */
static mg_status parse_part(mg_str text, mg_str whole, mg_arena *arena, mg_str *path_out,
                            mg_str *revision_out, mg_error *err)
{
    mg_str rest = text;
    mg_str path = mg_str_of("");
    mg_str revision = mg_str_of("");
    (void)mg_str_split(&rest, '@', &path);
    bool has_revision = path.size < text.size;
    if (has_revision) {
        revision = mg_str_slice(text, path.size + 1, text.size);
    }
    if (memchr(revision.data ? revision.data : "", '@', revision.size) != NULL) {
        return mg_fail(err, MG_ERR_CONFIG, "model reference '%.*s' has more than one '@'",
                       MG_STR_ARG(text));
    }
    if (path.size == 0 || (has_revision && revision.size == 0)) {
        return mg_fail(err, MG_ERR_CONFIG, "model reference '%.*s' lacks a %s", MG_STR_ARG(whole),
                       path.size == 0 ? "path" : "revision behind '@'");
    }
    *path_out = mg_arena_copy(arena, path);
    *revision_out = mg_arena_copy(arena, revision);
    return MG_OK;
}

mg_status mg_model_ref_parse(mg_str text, mg_arena *arena, mg_model_ref *ref_out, mg_error *err)
{
    memset(ref_out, 0, sizeof(*ref_out));
    if (memchr(text.data ? text.data : "", '\0', text.size) != NULL) {
        return mg_fail(err, MG_ERR_CONFIG, "model reference holds a NUL");
    }
    if (text.size > REFERENCE_BYTES_MAX) {
        return mg_fail(err, MG_ERR_CONFIG, "model reference has %zu bytes, at most %d are read",
                       text.size, REFERENCE_BYTES_MAX);
    }
    const char *plus = text.size > 0 ? (const char *)memchr(text.data, '+', text.size) : NULL;
    if (plus == NULL) {
        return parse_part(text, text, arena, &ref_out->path, &ref_out->revision, err);
    }
    size_t at = (size_t)(plus - text.data);
    mg_str lora = mg_str_slice(text, at + 1, text.size);
    if (lora.size > 0 && memchr(lora.data, '+', lora.size) != NULL) {
        return mg_fail(err, MG_ERR_CONFIG, "model reference '%.*s' has more than one '+'",
                       MG_STR_ARG(text));
    }
    MG_TRY(parse_part(mg_str_slice(text, 0, at), text, arena, &ref_out->path, &ref_out->revision,
                      err));
    return parse_part(lora, text, arena, &ref_out->lora_path, &ref_out->lora_revision, err);
}

mg_str mg_model_ref_text(const mg_model_ref *ref, mg_arena *arena)
{
    bool lora = ref->lora_path.size > 0;
    return mg_arena_printf(
        arena, "%.*s%s%.*s%s%.*s%s%.*s", MG_STR_ARG(ref->path), ref->revision.size > 0 ? "@" : "",
        MG_STR_ARG(ref->revision), lora ? "+" : "", MG_STR_ARG(ref->lora_path),
        lora && ref->lora_revision.size > 0 ? "@" : "", MG_STR_ARG(ref->lora_revision));
}

bool mg_model_ref_equal(const mg_model_ref *a, const mg_model_ref *b)
{
    return mg_str_equal(a->path, b->path) && mg_str_equal(a->revision, b->revision) &&
           mg_str_equal(a->lora_path, b->lora_path) &&
           mg_str_equal(a->lora_revision, b->lora_revision) &&
           mg_str_equal(a->override_architecture, b->override_architecture);
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

/* Replaces a leading ~ and every $NAME or ${NAME} as a shell would; unknown names stay. */
static mg_str expand(mg_str text, mg_getenv *get, mg_arena *arena)
{
    mg_buf buf = { 0 };
    size_t i = 0;
    if (text.size > 0 && text.data[0] == '~' && (text.size == 1 || text.data[1] == '/')) {
        const char *home = get("HOME");
        if (home != NULL) {
            mg_buf_add_text(&buf, home);
            i = 1;
        }
    }
    while (i < text.size) {
        if (text.data[i] != '$') {
            mg_buf_add_char(&buf, text.data[i++]);
            continue;
        }
        bool braced = i + 1 < text.size && text.data[i + 1] == '{';
        size_t begin = i + 1 + (braced ? 1 : 0);
        size_t end = begin;
        while (end < text.size && is_name_char(text.data[end]) && text.data[end] != '-' &&
               text.data[end] != '.') {
            end++;
        }
        bool closed = !braced || (end < text.size && text.data[end] == '}');
        mg_str name = mg_arena_copy(arena, mg_str_slice(text, begin, end));
        const char *value = closed && name.size > 0 ? get(name.data) : NULL;
        size_t next = closed ? end + (braced ? 1 : 0) : i + 1;
        if (value != NULL) {
            mg_buf_add_text(&buf, value);
        } else {
            mg_buf_add(&buf, mg_str_slice(text, i, next));
        }
        i = next;
    }
    mg_str result = mg_arena_copy(arena, mg_buf_view(&buf));
    mg_buf_release(&buf);
    return result;
}

/* The value of a variable, or NULL when it is unset or empty. */
static const char *get_set(mg_getenv *get, const char *name)
{
    const char *value = get(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

mg_hub mg_hub_from_environment(mg_getenv *get, mg_arena *arena)
{
    mg_hub hub = { { NULL, 0 } };
    const char *value = get_set(get, "HF_HUB_CACHE");
    if (value == NULL) {
        value = get_set(get, "HUGGINGFACE_HUB_CACHE");
    }
    if (value != NULL) {
        hub.cache_folder = expand(mg_str_of(value), get, arena);
        return hub;
    }
    mg_str home;
    if ((value = get_set(get, "HF_HOME")) != NULL) {
        home = expand(mg_str_of(value), get, arena);
    } else if ((value = get_set(get, "XDG_CACHE_HOME")) != NULL) {
        home = mg_path_join(arena, expand(mg_str_of(value), get, arena).data, "huggingface");
    } else if ((value = get_set(get, "HOME")) != NULL) {
        home = mg_arena_printf(arena, "%s/.cache/huggingface", value);
    } else {
        return hub;
    }
    hub.cache_folder = mg_path_join(arena, home.data, "hub");
    return hub;
}

/* "owner/name" or "name" by the rules of the Hub. */
static bool is_repository(mg_str path)
{
    mg_str rest = path;
    mg_str part;
    int parts = 0;
    while (mg_str_split(&rest, '/', &part)) {
        parts++;
        if (part.size == 0 || part.size > NAME_BYTES_MAX) {
            return false;
        }
        for (size_t i = 0; i < part.size; i++) {
            if (!is_name_char(part.data[i])) {
                return false;
            }
        }
        char first = part.data[0];
        char last = part.data[part.size - 1];
        if (first == '-' || first == '.' || last == '-' || last == '.') {
            return false;
        }
    }
    return (parts == 1 || parts == 2) && path.data[path.size - 1] != '/' &&
           mg_str_find(path, mg_str_of(".."), 0) < 0 && mg_str_find(path, mg_str_of("--"), 0) < 0;
}

static bool is_commit(mg_str text)
{
    if (text.size != 40) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return true;
}

/* A revision names a file below refs/: it must not lead out of there. */
static bool is_safe_revision(mg_str revision)
{
    return revision.size > 0 && revision.data[0] != '/' &&
           mg_str_find(revision, mg_str_of(".."), 0) < 0 &&
           memchr(revision.data, '\\', revision.size) == NULL &&
           memchr(revision.data, '\0', revision.size) == NULL;
}

/* The commit that a revision stands for in this repository's cache; empty when it is unknown. */
static mg_status find_commit(const char *repository, mg_str revision, mg_arena *arena,
                             mg_str *commit_out, mg_error *err)
{
    *commit_out = mg_str_of("");
    if (is_commit(revision)) {
        *commit_out = revision;
        return MG_OK;
    }
    if (!is_safe_revision(revision)) {
        return mg_fail(err, MG_ERR_CONFIG, "revision '%.*s' is no valid name",
                       MG_STR_ARG(revision));
    }
    mg_str path = mg_arena_printf(arena, "%s/refs/%.*s", repository, MG_STR_ARG(revision));
    if (!mg_path_is_file(path.data)) {
        return MG_OK;
    }
    mg_bytes bytes = { NULL, 0 };
    MG_TRY(mg_file_read(path.data, REF_BYTES_MAX, &bytes, err));
    mg_str commit = mg_str_trim(mg_str_make((const char *)bytes.data, bytes.size));
    mg_status status = MG_OK;
    if (is_commit(commit)) {
        *commit_out = mg_arena_copy(arena, commit);
    } else {
        status = mg_fail(err, MG_ERR_FORMAT, "%s: holds no commit", path.data);
    }
    mg_bytes_release(&bytes);
    return status;
}

static mg_str repository_folder(const mg_hub *hub, mg_str path, mg_arena *arena)
{
    mg_buf buf = { 0 };
    mg_buf_printf(&buf, "%.*s/models--", MG_STR_ARG(hub->cache_folder));
    for (size_t i = 0; i < path.size; i++) {
        mg_buf_add(&buf, path.data[i] == '/' ? mg_str_of("--") : mg_str_slice(path, i, i + 1));
    }
    mg_str folder = mg_arena_copy(arena, mg_buf_view(&buf));
    mg_buf_release(&buf);
    return folder;
}

mg_status mg_hub_locate(const mg_hub *hub, mg_str path, mg_str revision, mg_arena *arena,
                        mg_str *folder_out, mg_error *err)
{
    *folder_out = mg_str_of("");
    mg_str local = mg_arena_copy(arena, path);
    if (memchr(local.data, '\0', local.size) == NULL && mg_path_exists(local.data)) {
        *folder_out = local; /* a local folder wins, whatever the revision */
        return MG_OK;
    }
    if (!is_repository(local)) {
        return mg_fail(err, MG_ERR_NOT_FOUND,
                       "%s: no such folder, and no name of a model on the Hub", local.data);
    }
    if (hub == NULL || hub->cache_folder.size == 0) {
        return mg_fail(err, MG_ERR_NOT_FOUND,
                       "%s: no such folder, and no Hub cache to look in (set HF_HOME)", local.data);
    }
    if (revision.size == 0) {
        revision = mg_str_of("main");
    }
    mg_str repository = repository_folder(hub, local, arena);
    mg_str commit;
    MG_TRY(find_commit(repository.data, revision, arena, &commit, err));
    if (commit.size > 0) {
        mg_str folder =
            mg_arena_printf(arena, "%s/snapshots/%.*s", repository.data, MG_STR_ARG(commit));
        if (mg_path_is_folder(folder.data)) {
            *folder_out = folder;
            return MG_OK;
        }
    }
    return mg_fail(
        err, MG_ERR_NOT_FOUND,
        "%s: no such folder, and revision %.*s is not in the Hub cache %.*s; get it with: "
        "huggingface-cli download %s --revision %.*s",
        local.data, MG_STR_ARG(revision), MG_STR_ARG(hub->cache_folder), local.data,
        MG_STR_ARG(revision));
}
