/* The handlers, by noun: what the route table refers to. struct route in request.h says when each kind is called, and on which thread. */
#pragma once

#include "api/json.h"
#include "api/request.h"

/* users.c */
extern const struct form user_create_form, user_update_form, password_form;
enum err user_create_admit(struct request *request);
enum err user_create(struct request *request);
enum err user_created(struct request *request);
enum err user_find(struct request *request);
enum err user_show(struct request *request);
enum err user_show_me(struct request *request);
enum err user_update(struct request *request);
enum err password_admit(struct request *request);
enum err password_set(struct request *request);

/* sessions.c */
extern const struct form session_create_form;
enum err session_create_admit(struct request *request);
enum err session_create(struct request *request);
enum err session_created(struct request *request);
enum err session_end(struct request *request);
enum err session_ended(struct request *request);
/* The answer to registering and logging in: {access_token, user, device}. */
void session_answer(struct request *request, const struct user *user, const struct device *device, const char *token, bool in_cookie);

/* devices.c */
enum err device_list(struct request *request);
enum err device_remove(struct request *request);

/* chats.c */
extern const struct form chat_create_form, chat_update_form;
enum err chat_create(struct request *request);
enum err chat_created(struct request *request);
enum err chat_list(struct request *request);
enum err chat_show(struct request *request);
enum err chat_update(struct request *request);
enum err chat_delete(struct request *request);

/* members.c */
extern const struct form member_form;
enum err member_list(struct request *request);
enum err member_put(struct request *request);
enum err member_remove(struct request *request);

/* links.c */
extern const struct form link_form, join_answer_form;
enum err link_create(struct request *request);
enum err link_list(struct request *request);
enum err link_revoke(struct request *request);
enum err link_show(struct request *request);
enum err link_join(struct request *request);
enum err link_joined(struct request *request);
enum err join_list(struct request *request);
enum err join_answer(struct request *request);

/* people.c */
extern const struct form contact_form;
enum err block_list(struct request *request);
enum err block_put(struct request *request);
enum err block_remove(struct request *request);
enum err contact_list(struct request *request);
enum err contact_put(struct request *request);
enum err contact_remove(struct request *request);

/* reports.c */
extern const struct form report_form;
enum err report_create(struct request *request);

/* bans.c */
enum err ban_list(struct request *request);
enum err ban_put(struct request *request);
enum err ban_remove(struct request *request);

/* typing.c */
enum err typing_say(struct request *request);

/* presence.c */
extern const struct form presence_form, presence_subscriptions_form;
enum err presence_say(struct request *request);
enum err presence_show(struct request *request);
enum err presence_subscribe(struct request *request);

/* receipts.c */
extern const struct form read_form;
enum err chat_read(struct request *request);
enum err receipt_list(struct request *request);
enum err message_receipts(struct request *request);

/* settings.c */
extern const struct form settings_form;
enum err settings_change(struct request *request);

/* messages.c */
extern const struct form message_form, message_edit_form;
enum err message_post(struct request *request);
enum err message_list(struct request *request);
enum err message_show(struct request *request);
enum err message_edit(struct request *request);
enum err message_delete(struct request *request);
/* Whether the mentions lie inside the text, and not over each other. */
enum err check_mentions(struct request *request, const struct mention_list *mentions, const struct text *text);
/* Whether no media is there twice. */
enum err check_attachments(struct request *request, const struct id_list *attachments);

/* scheduled.c */
extern const struct form scheduled_form;
enum err schedule_create(struct request *request);
enum err schedule_list(struct request *request);
enum err schedule_delete(struct request *request);

/* reactions.c */
enum err reaction_list(struct request *request);
enum err reaction_put(struct request *request);
enum err reaction_delete(struct request *request);
enum err reaction_done(struct request *request);

/* edits.c */
enum err edit_list(struct request *request);

/* pins.c */
enum err pin_list(struct request *request);
enum err pin_put(struct request *request);
enum err pin_delete(struct request *request);

/* media.c */
extern const struct form media_create_form;
enum err media_create(struct request *request);
enum err media_created(struct request *request);
enum err media_show(struct request *request);
/* The answer was written before its command was committed (MEDIA_SIGN). */
enum err media_signed(struct request *request);
enum err media_fetch(struct request *request);
enum err media_delete(struct request *request);

/* media_complete.c */
enum err media_complete(struct request *request);
enum err media_completed(struct request *request);

/* media_parts.c */
extern const struct form media_parts_form;
enum err media_parts_list(struct request *request);
enum err media_parts_sign(struct request *request);

/* events.c (the stream itself: events.h) */
extern const struct form events_ack_form;
enum err stream_admit(struct request *request);
enum err ticket_create(struct request *request);
enum err ticket_created(struct request *request);
enum err events_ack(struct request *request);
enum err events_acked(struct request *request);

/* blobs.c */
enum err blob_put_admit(struct request *request);
enum err blob_put(struct request *request);
enum err blob_get_admit(struct request *request);
enum err blob_get(struct request *request);

/* operations.c */
enum err show_health(struct request *request);
enum err show_readiness(struct request *request);
enum err show_metrics(struct request *request);

/* pages.c */
enum err show_index(struct request *request);
enum err show_page(struct request *request);
enum err show_contract(struct request *request);
