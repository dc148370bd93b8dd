/* Owns the handler for what a member has set for a chat. */
#include "api/handlers.h"
#include "api/server_internal.h"

struct settings_form {
    struct moment muted_until;
    struct flag archived;
    struct flag pinned;
    struct text_or_null draft;
};

static const struct field SETTINGS_FIELDS[] = {
    { "muted_until", FIELD_MOMENT, false, 0, 0, offsetof(struct settings_form, muted_until), NULL },
    { "archived", FIELD_FLAG, false, 0, 0, offsetof(struct settings_form, archived), NULL },
    { "pinned", FIELD_FLAG, false, 0, 0, offsetof(struct settings_form, pinned), NULL },
    { "draft", FIELD_TEXT_OR_NULL, false, 1, LIMIT_DRAFT_CHARACTERS, offsetof(struct settings_form, draft), NULL },
};
const struct form settings_form = FORM(settings_form, SETTINGS_FIELDS);

enum err settings_change(struct request *request) {
    const struct settings_form *form = REQUEST_FORM(request, settings_form);
    struct command *command = request_command(request, COMMAND_SETTINGS);
    command->in.settings.chat_id = request->ids[PATH_CHAT_ID];
    command->in.settings.set_muted = form->muted_until.given;
    command->in.settings.muted_until_ms = form->muted_until.time_ms;
    command->in.settings.set_archived = form->archived.given;
    command->in.settings.archived = form->archived.value;
    command->in.settings.set_pinned = form->pinned.given;
    command->in.settings.pinned = form->pinned.value;
    command->in.settings.set_draft = form->draft.given;
    command->in.settings.draft = form->draft.text.bytes;
    command->in.settings.draft_size = form->draft.text.size;
    return OK;
}
