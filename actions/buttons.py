"""What a button says is what a resident would type, and it is understood exactly: a tap is no matter of probability."""

BUTTONS = {
    "确认提交": "affirm",
    "修改": "correct",
    "取消": "cancel",
    "匿名": "anonymous",
    "转人工": "request_human",
    "登记工单": "file_request",
    "继续登记": "file_request",
    "我要反映问题": "file_request",
    # After a ticket, where the message spoke of something else too.
    "登记另一件事": "file_request",
    "先不登记": "deny",
    # To a question of the ticket form that may be left out.
    "跳过": "deny",
    # Others have reported the same event (actions/same_event.py).
    "一起跟进": "affirm",
    "不是同一件事": "deny",
    "查工单进度": "ticket_progress",
    "补充情况": "ticket_add",
    "催办": "ticket_urge",
    "撤回工单": "ticket_withdraw",
    "确认撤回": "affirm",
    "不撤回": "deny",
    "你能做什么": "bot_capability",
    # What is to be changed in a summary.
    "改地点": "correct",
    "改时间": "correct",
    "改联系方式": "correct",
    "改内容": "correct",
    # Under the result of a ticket (assistant/tickets/service.py).
    "已经解决了": "feedback_helpful",
    "没有解决": "ticket_dissatisfied",
    # How it was handled (actions/callback.py).
    "满意": "feedback_helpful",
    "一般": "feedback_helpful",
    "不满意": "ticket_dissatisfied",
}
