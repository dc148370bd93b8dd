/* Owns making a bucket ready (storage_setup): that it exists, that browsers may use it, that nothing in it is public, and that forgotten uploads go. */
#include <stdio.h>
#include <string.h>

#include "media/s3_internal.h"

#define RULE_NAME "parley-incomplete-uploads"
#define FORGOTTEN_DAYS 7 /* the cleanup aborts them after one: this is for when it does not run */
#define XMLNS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

struct setting_up {
    struct s3 *s3;
    storage_report report;
    void *context;
    struct arena scratch; /* of one step */
};

static bool is_code(const struct s3_answer *answer, const char *code) { return strcmp(answer->code, code) == 0; }

/* Services that know only a part of S3 say so in several ways. */
static bool is_unsupported(const struct s3_answer *answer) {
    return answer->status == 501 || answer->status == 405 || is_code(answer, "NotImplemented") || is_code(answer, "MethodNotAllowed") ||
           is_code(answer, "UnsupportedOperation") || is_code(answer, "InvalidRequest");
}

static void tell(struct setting_up *setting_up, const char *step, enum err err, const char *detail) {
    setting_up->report(setting_up->context, step, err, detail);
}

static enum err run_bucket(struct setting_up *setting_up, const char *operation, const char *method, const char *resource,
                           const struct buf *body, struct s3_answer *ret_answer) {
    struct s3_call call = { .operation = operation, .method = method, .body = body };
    if (resource != NULL)
        call.query[call.query_count++] = (struct sigv4_pair){ resource, "" };
    if (body != NULL && !buf_ok(body))
        return ERR_NO_MEMORY;
    return s3_run(setting_up->s3, &call, &setting_up->scratch, ret_answer);
}

/* A step that is one PUT; what the storage does not know is told. Returns whether it was done, or cannot be done here at all. */
static enum err put_step(struct setting_up *setting_up, const char *step, const char *operation, const char *resource,
                         const struct buf *body, const char *detail) {
    struct s3_answer answer = { 0 };
    enum err err = run_bucket(setting_up, operation, "PUT", resource, body, &answer);
    if (err == OK) {
        tell(setting_up, step, OK, detail);
        return OK;
    }
    if (is_unsupported(&answer)) {
        char text[S3_CODE_SIZE + 64];
        snprintf(text, sizeof(text), "this storage does not support it (%u %s)", answer.status, answer.code);
        tell(setting_up, step, err, text);
        return OK;
    }
    tell(setting_up, step, err, storage_problem());
    return err;
}

/* ---- The bucket ---- */

static enum err create(struct setting_up *setting_up, const char *region, struct s3_answer *ret_answer) {
    struct buf body = BUF_INIT;
    if (region != NULL)
        buf_printf(&body, "<CreateBucketConfiguration" XMLNS "><LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>",
                   region);
    enum err err = run_bucket(setting_up, "CreateBucket", "PUT", NULL, region != NULL ? &body : NULL, ret_answer);
    buf_release(&body);
    return err;
}

/* Amazon wants to hear any region but its first; others know only a name of their own, and take the bucket without one. */
static enum err create_bucket(struct setting_up *setting_up) {
    const char *region = setting_up->s3->base.config->s3_region;
    struct s3_answer answer = { 0 };
    enum err err = create(setting_up, strcmp(region, "us-east-1") == 0 ? NULL : region, &answer);
    if (err != OK && is_code(&answer, "InvalidLocationConstraint"))
        err = create(setting_up, NULL, &answer);
    if (err != OK && is_code(&answer, "BucketAlreadyOwnedByYou"))
        err = OK;
    return err;
}

static enum err bucket_step(struct setting_up *setting_up) {
    struct s3_answer answer = { 0 };
    const char *detail = "is there already";
    enum err err = run_bucket(setting_up, "HeadBucket", "HEAD", NULL, NULL, &answer);
    if (err == ERR_NOT_FOUND) {
        detail = "created";
        err = create_bucket(setting_up);
    }
    tell(setting_up, "bucket", err, err == OK ? detail : storage_problem());
    return err;
}

/* ---- Origins ---- */

static void write_origins(struct buf *body, const char *origins) {
    while (*origins != '\0') {
        size_t size = strcspn(origins, ",");
        buf_printf(body, "<AllowedOrigin>%.*s</AllowedOrigin>", (int)size, origins);
        origins += size + (origins[size] == ',');
    }
}

static void write_cors(struct buf *body, const struct config *config) {
    buf_string(body, "<CORSConfiguration" XMLNS "><CORSRule>");
    write_origins(body, config->cors_origins);
    write_origins(body, config->public_url);
    buf_string(body, "<AllowedMethod>GET</AllowedMethod><AllowedMethod>HEAD</AllowedMethod><AllowedMethod>PUT</AllowedMethod>"
                     "<AllowedHeader>content-type</AllowedHeader><AllowedHeader>content-md5</AllowedHeader>"
                     "<AllowedHeader>x-amz-acl</AllowedHeader><AllowedHeader>range</AllowedHeader>"
                     "<ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>3600</MaxAgeSeconds></CORSRule></CORSConfiguration>");
}

static enum err cors_step(struct setting_up *setting_up) {
    const struct config *config = setting_up->s3->base.config;
    if (*config->cors_origins == '\0' && *config->public_url == '\0') {
        tell(setting_up, "cors", OK, "nothing to allow: neither PARLEY_CORS_ORIGINS nor PARLEY_PUBLIC_URL is set");
        return OK;
    }
    struct buf body = BUF_INIT;
    write_cors(&body, config);
    enum err err = put_step(setting_up, "cors", "PutBucketCors", "cors", &body, "pages of the configured origins may upload and download");
    buf_release(&body);
    return err;
}

/* ---- Public access ---- */

#define PROBE_NAME "setup-probe"

static enum err run_probe(struct setting_up *setting_up, const char *method, const char *key, const struct buf *body) {
    struct storage *storage = &setting_up->s3->base;
    struct s3_call call = {
        .operation = body != NULL ? "PutObject" : "DeleteObject",
        .method = method,
        .key = key,
        .content_type = body != NULL ? "text/plain" : NULL,
        .acl = body != NULL && storage->signs_acl ? "private" : NULL,
        .body = body,
    };
    struct s3_answer answer;
    return s3_run(setting_up->s3, &call, &setting_up->scratch, &answer);
}

/* Whether an object can be uploaded and deleted. */
static enum err probe(struct setting_up *setting_up) {
    struct buf key = BUF_INIT, body = BUF_INIT;
    buf_printf(&key, "%s" PROBE_NAME, setting_up->s3->base.config->s3_prefix);
    buf_string(&body, "parley media setup");
    enum err err = buf_ok(&key) && buf_ok(&body) ? run_probe(setting_up, "PUT", key.bytes, &body) : ERR_NO_MEMORY;
    if (err == OK)
        err = run_probe(setting_up, "DELETE", key.bytes, NULL);
    buf_release(&key);
    buf_release(&body);
    return err;
}

static enum err block_access(struct setting_up *setting_up, bool block_acls, const char *detail) {
    struct buf body = BUF_INIT;
    buf_printf(&body,
               "<PublicAccessBlockConfiguration" XMLNS "><BlockPublicAcls>%s</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>"
               "<BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets>"
               "</PublicAccessBlockConfiguration>",
               block_acls ? "true" : "false");
    enum err err = put_step(setting_up, "public access", "PutPublicAccessBlock", "publicAccessBlock", &body, detail);
    buf_release(&body);
    return err;
}

/* Ceph's gateway 16, told to block public ACLs, refuses every upload, whatever its ACL; told to ignore them, it does just that. So it is tried out: ignored they
 * are as harmless as blocked. */
static enum err access_step(struct setting_up *setting_up) {
    (void)!block_access(setting_up, true, "blocked");
    enum err err = probe(setting_up);
    if (err != OK) {
        (void)!block_access(setting_up, false, "this storage refuses every upload then, so public ACLs are ignored instead of refused");
        err = probe(setting_up);
    }
    tell(setting_up, "upload", err, err == OK ? "an object could be stored and deleted" : storage_problem());
    return err;
}

/* ---- Lifecycle ---- */

/* Rules are replaced all together: those of somebody else must not be lost. */
static bool has_foreign_rule(const struct xml *root) {
    for (const struct xml *rule = xml_child(root, "Rule"); rule != NULL; rule = xml_next(rule))
        if (strcmp(xml_text(rule, "ID"), RULE_NAME) != 0)
            return true;
    return false;
}

static void write_rule(struct buf *body, const char *prefix) {
    buf_string(body, "<LifecycleConfiguration" XMLNS "><Rule><ID>" RULE_NAME "</ID><Filter><Prefix>");
    s3_escape(body, prefix);
    buf_printf(body,
               "</Prefix></Filter><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>%d</DaysAfterInitiation>"
               "</AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>",
               FORGOTTEN_DAYS);
}

/* Whatever comes of it was told: uploads and downloads work without. */
static void lifecycle_step(struct setting_up *setting_up) {
    struct s3_answer answer = { 0 };
    struct buf body = BUF_INIT;
    enum err err = run_bucket(setting_up, "GetBucketLifecycleConfiguration", "GET", "lifecycle", NULL, &answer);
    if (err == OK && has_foreign_rule(answer.root)) {
        tell(setting_up, "lifecycle", ERR_CONFLICT,
             "the bucket has rules of its own, which are left alone; one that aborts incomplete multipart uploads should be among them");
        return;
    }
    write_rule(&body, setting_up->s3->base.config->s3_prefix);
    (void)!put_step(setting_up, "lifecycle", "PutBucketLifecycleConfiguration", "lifecycle", &body,
                    "multipart uploads that nobody completes are aborted after a week");
    buf_release(&body);
}

enum err s3_setup(struct storage *storage, storage_report report, void *context) {
    struct setting_up setting_up = { s3_of(storage), report, context, ARENA_INIT(S3_SCRATCH_BYTES) };
    enum err err = bucket_step(&setting_up);
    if (err == OK)
        err = cors_step(&setting_up);
    if (err == OK)
        err = access_step(&setting_up);
    if (err == OK)
        lifecycle_step(&setting_up);
    arena_release(&setting_up.scratch);
    return err;
}
