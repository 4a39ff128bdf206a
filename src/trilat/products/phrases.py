"""The phrases of the products in English, Japanese and Korean. One table a language; `{}` fields are filled by `texts`."""

from __future__ import annotations

from collections.abc import Mapping

from trilat.records.warning import Language

LANGUAGES: tuple[Language, ...] = ("en", "ja", "ko")

# state, or the reason of a state, -> headline. `issued` words also head updates; lost and over never speak of what is to come.
HEADLINES: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "detected": "Launch detected",
        "assessed": "Missile launch assessed",
        "issued": "MISSILE WARNING",
        "updated": "MISSILE WARNING, UPDATE",
        "track-lost": "Missile warning: TRACK LOST, not confirmed",
        "landed": "Missile: predicted landing time has passed",
        "passed": "Missile: has passed",
        "unseen": "Missile: predicted time has passed, not observed",
        "stood-down": "ALL CLEAR: missile warning ended",
        "threat-over": "ALL CLEAR: missile warning ended, threat over",
        "issued-in-error": "CANCELLED: missile warning was issued in error",
        "superseded": "CANCELLED: missile warning replaced by another",
        "reinstated": "MISSILE WARNING, REINSTATED",
    },
    "ja": {
        "detected": "発射を探知",
        "assessed": "ミサイル発射と判断",
        "issued": "ミサイル警報",
        "updated": "ミサイル警報（続報）",
        "track-lost": "ミサイル警報：航跡消失、未確認",
        "landed": "ミサイル：落下予測時刻を過ぎました",
        "passed": "ミサイル：通過しました",
        "unseen": "ミサイル：予測時刻を過ぎました（観測なし）",
        "stood-down": "警報解除",
        "threat-over": "警報解除：脅威は去りました",
        "issued-in-error": "取消：誤って発令されたミサイル警報",
        "superseded": "取消：別の警報に置き換えられました",
        "reinstated": "ミサイル警報（再発令）",
    },
    "ko": {
        "detected": "발사 탐지",
        "assessed": "미사일 발사로 판단",
        "issued": "미사일 경보",
        "updated": "미사일 경보(갱신)",
        "track-lost": "미사일 경보: 항적 소실, 미확인",
        "landed": "미사일: 예상 낙하 시각이 지났습니다",
        "passed": "미사일: 통과했습니다",
        "unseen": "미사일: 예상 시각이 지났습니다(관측 없음)",
        "stood-down": "경보 해제",
        "threat-over": "경보 해제: 위협이 끝났습니다",
        "issued-in-error": "취소: 잘못 발령된 미사일 경보",
        "superseded": "취소: 다른 경보로 대체되었습니다",
        "reinstated": "미사일 경보(재발령)",
    },
}

SENTENCES: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "launched": "Launch at about {time}.",
        "class": "Assessed as: {name} ({percent} %).",
        "landing": "May come down in: {areas}, between {start} and {end}.",
        "overflight": "May pass over: {areas}, between {start} and {end}.",
        "no-areas": "No area is named yet.",
        "none-now": "No area that was named lies on its predicted way now. Wait for the all clear.",
        "unreliable": "The landing area is not reliable.",
        "again": "It burns again: where it will come down is not known yet.",
        "unconfirmed": "It is not confirmed at present: too few sensors report it.",
        "lost": "The track has been lost: what was said of its further way is not confirmed.",
        "airspace": "Airspace concerned: {areas}, between {start} and {end}.",
        "act": "Take shelter now in a building or underground.",
        "at-sea": "Ships and aircraft there: keep clear and watch for falling objects.",
        "stay": "Follow your authorities. Do not go near fallen objects; report them.",
        "over": "The warning has ended. Normal activity may go on.",
        "error": "The warning was a mistake. There is no missile threat from it.",
        "superseded": "Another warning takes its place: follow that one.",
    },
    "ja": {
        "launched": "{time}頃に発射。",
        "class": "判定：{name}（{percent}％）。",
        "landing": "落下の可能性：{areas}、{start}から{end}の間。",
        "overflight": "上空通過の可能性：{areas}、{start}から{end}の間。",
        "no-areas": "対象地域はまだ特定されていません。",
        "none-now": "これまでに示した地域は、現在の予測経路上にありません。警報の解除をお待ちください。",
        "unreliable": "落下予測区域は確実ではありません。",
        "again": "再び加速しています。落下する場所はまだ分かりません。",
        "unconfirmed": "現在は確認されていません。捉えているセンサーが足りません。",
        "lost": "航跡を見失いました。今後の進路に関する情報は未確認です。",
        "airspace": "関係する空域：{areas}、{start}から{end}の間。",
        "act": "直ちに建物の中または地下に避難してください。",
        "at-sea": "付近の船舶と航空機は、離れて、落下物に注意してください。",
        "stay": "当局の指示に従ってください。落下物に近づかず、通報してください。",
        "over": "警報は終了しました。通常の活動に戻ってください。",
        "error": "この警報は誤りでした。ミサイルの脅威はありません。",
        "superseded": "別の警報に従ってください。",
    },
    "ko": {
        "launched": "{time}경 발사.",
        "class": "판정: {name} ({percent} %).",
        "landing": "낙하 가능 지역: {areas}, {start}~{end} 사이.",
        "overflight": "상공 통과 가능 지역: {areas}, {start}~{end} 사이.",
        "no-areas": "대상 지역은 아직 확인되지 않았습니다.",
        "none-now": "앞서 알린 지역은 현재 예상 경로에 없습니다. 경보 해제를 기다리십시오.",
        "unreliable": "낙하 예상 지역은 확실하지 않습니다.",
        "again": "다시 가속하고 있습니다. 낙하할 곳은 아직 알 수 없습니다.",
        "unconfirmed": "현재 확인되지 않았습니다. 포착한 센서가 부족합니다.",
        "lost": "항적을 놓쳤습니다. 이후 경로에 관한 정보는 확인되지 않았습니다.",
        "airspace": "관련 공역: {areas}, {start}~{end} 사이.",
        "act": "즉시 건물 안이나 지하로 대피하십시오.",
        "at-sea": "인근 선박과 항공기는 그곳에서 떨어져 낙하물에 주의하십시오.",
        "stay": "당국의 안내에 따르십시오. 낙하물에 접근하지 말고 신고하십시오.",
        "over": "경보가 종료되었습니다. 일상 활동으로 돌아가셔도 됩니다.",
        "error": "이 경보는 잘못 발령되었습니다. 미사일 위협은 없습니다.",
        "superseded": "다른 경보를 따르십시오.",
    },
}

CLASSES: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "SRBM": "short-range ballistic missile",
        "MRBM": "medium-range ballistic missile",
        "IRBM": "intermediate-range ballistic missile",
        "ICBM": "intercontinental ballistic missile",
        "space launch": "space launch",
        "not a missile": "not a missile",
        "launch, unclassified": "launch, unclassified",
    },
    "ja": {
        "SRBM": "短距離弾道ミサイル",
        "MRBM": "準中距離弾道ミサイル",
        "IRBM": "中距離弾道ミサイル",
        "ICBM": "大陸間弾道ミサイル",
        "space launch": "宇宙ロケット打ち上げ",
        "not a missile": "ミサイルではない",
        "launch, unclassified": "発射（種別未確定）",
    },
    "ko": {
        "SRBM": "단거리 탄도미사일",
        "MRBM": "준중거리 탄도미사일",
        "IRBM": "중거리 탄도미사일",
        "ICBM": "대륙간 탄도미사일",
        "space launch": "우주 발사체",
        "not a missile": "미사일 아님",
        "launch, unclassified": "발사(미분류)",
    },
}

# Said first and last of whatever is not live.
DRILL: Mapping[Language, str] = {
    "en": "EXERCISE, EXERCISE, EXERCISE",
    "ja": "訓練、訓練、訓練。これは訓練です",
    "ko": "훈련, 훈련, 훈련. 이것은 훈련입니다",
}
DRILL_SHORT: Mapping[Language, str] = {"en": "EXERCISE", "ja": "訓練", "ko": "훈련"}
